//! Where requests go and what they look like there.

use http::{Request, header};

use super::{
    backend::Backend,
    support::{Proxy, ingress, service},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_by_host_and_path() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let proxy = Proxy::start(
        &[
            service("one", &[one.address]),
            service("two", &[two.address]),
            ingress("a", &[], "a.test", "/", "one"),
            ingress("b", &[], "a.test", "/two", "two"),
            ingress("c", &[], "*.b.test", "/", "two"),
        ]
        .concat(),
    );
    for (host, path, expected) in [
        ("a.test", "/", "one"),
        ("A.Test:8080", "/x?y=z", "one"),
        ("a.test", "/two/x", "two"),
        ("a.test", "/twofold", "one"),
        ("x.b.test", "/", "two"),
    ] {
        assert_eq!(proxy.get(host, path).await.header("x-backend"), expected, "{host}{path}");
    }
    for host in ["b.test", "x.y.b.test", "other.test"] {
        assert_eq!(proxy.get(host, "/").await.status, 404, "{host}");
    }
    assert_eq!(proxy.send(Request::get("/"), "").await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_learns_who_asked_and_nothing_that_was_made_up() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(&[service("one", &[backend.address]), ingress("a", &[], "a.test", "/", "one")].concat());
    let request = Request::post("/p?q=1")
        .header(header::HOST, "a.test:81")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-real-ip", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("te", "gzip");
    let reply = proxy.send(request, "body").await;
    let lines: Vec<&str> = reply.body.lines().collect();
    assert_eq!(lines[..2], ["one", "POST /p?q=1 HTTP/1.1"]);
    for line in [
        "host: a.test:81",
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a.test:81",
        "x-forwarded-port: 80",
        "content-length: 4",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("x-request-id: ") && line.len() == 46), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("x-hop") || line.starts_with("te:")), "{lines:?}");
    assert_eq!(lines.last(), Some(&"body"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_rewritten() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(
        &[
            service("one", &[backend.address]),
            ingress("a", &[("rewrite-target", "/$2"), ("use-regex", "true")], "a.test", "/api(/|$)(.*)", "one"),
            ingress("b", &[("rewrite-target", "/fixed?a=b")], "b.test", "/any", "one"),
            ingress("c", &[("upstream-vhost", "inner.test")], "c.test", "/", "one"),
        ]
        .concat(),
    );
    for (host, path, expected) in [
        ("a.test", "/api/x/y?z=1", "GET /x/y?z=1 HTTP/1.1"),
        ("a.test", "/api", "GET / HTTP/1.1"),
        ("a.test", "/api/a%20b", "GET /a%20b HTTP/1.1"),
        ("b.test", "/any/thing?c=d", "GET /fixed?a=b&c=d HTTP/1.1"),
        ("c.test", "/raw//%2e%2e/x", "GET /raw//%2e%2e/x HTTP/1.1"),
    ] {
        let body = proxy.get(host, path).await.body;
        assert_eq!(body.lines().nth(1), Some(expected), "{host}{path}");
    }
    assert!(proxy.get("c.test", "/").await.body.contains("\nhost: inner.test\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_sent_elsewhere() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(
        &[
            service("one", &[backend.address]),
            ingress("a", &[("force-ssl-redirect", "true")], "a.test", "/", "one"),
            ingress("b", &[("permanent-redirect", "https://b2.test$request_uri")], "b.test", "/", "one"),
            ingress("c", &[("app-root", "/app")], "c.test", "/", "one"),
            ingress("d", &[("temporal-redirect", "https://d2.test/")], "d.test", "/", "one"),
        ]
        .concat(),
    );
    for (host, path, status, location) in [
        ("a.test:8080", "/x?y=z", 308, "https://a.test/x?y=z"),
        ("b.test", "/x?y=z", 301, "https://b2.test/x?y=z"),
        ("c.test", "/", 302, "/app"),
        ("c.test", "/x", 200, ""),
        ("d.test", "/x", 302, "https://d2.test/"),
    ] {
        let reply = proxy.get(host, path).await;
        assert_eq!((reply.status, reply.header("location")), (status, location), "{host}{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_keeps_a_client_with_one_endpoint() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let annotations = [("affinity", "cookie"), ("session-cookie-name", "stick"), ("session-cookie-max-age", "60")];
    let proxy = Proxy::start(
        &[service("s", &[one.address, two.address]), ingress("a", &annotations, "a.test", "/", "s")].concat(),
    );
    let first = proxy.get("a.test", "/").await;
    let cookie = first.header("set-cookie");
    assert!(cookie.starts_with("stick=") && cookie.ends_with("; Path=/; HttpOnly; Max-Age=60"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    for _ in 0..4 {
        let request = Request::get("/").header("host", "a.test").header("cookie", format!("other=1; {pair}"));
        let reply = proxy.send(request, "").await;
        assert_eq!(reply.header("x-backend"), first.header("x-backend"));
        assert_eq!(reply.header("set-cookie"), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_requests_go_to_the_backend_on_trial() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let canary = [("canary", "true"), ("canary-by-header", "x-try"), ("canary-weight", "0")];
    let yaml = |weight: &str| {
        let canary = [canary[0], canary[1], ("canary-weight", weight)];
        [
            service("one", &[one.address]),
            service("two", &[two.address]),
            ingress("a", &[], "a.test", "/", "one"),
            ingress("b", &canary, "a.test", "/", "two"),
        ]
        .concat()
    };
    let proxy = Proxy::start(&yaml("0"));
    assert_eq!(proxy.get("a.test", "/").await.header("x-backend"), "one");
    let tried = Request::get("/").header("host", "a.test").header("x-try", "always");
    assert_eq!(proxy.send(tried, "").await.header("x-backend"), "two");
    proxy.load(&yaml("50"));
    for _ in 0..60 {
        proxy.get("a.test", "/").await;
    }
    assert!(one.requests() > 10 && two.requests() > 10, "{} {}", one.requests(), two.requests());
    proxy.load(&yaml("100"));
    assert_eq!(proxy.get("a.test", "/").await.header("x-backend"), "two");
    let kept = Request::get("/").header("host", "a.test").header("x-try", "never");
    assert_eq!(proxy.send(kept, "").await.header("x-backend"), "one");
}
