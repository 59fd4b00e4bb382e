//! Who is let in, and how much of what.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    backend::Backend,
    support::{Proxy, ingress, service},
};

/// admin, admin
const PASSWORDS: &str = "kind: Secret\nmetadata: {name: users}\ndata: {auth: YWRtaW46e1NIQX0wRFBpS3VOSXJyVm1EOElVQ3V3MWhReE5xWmM9Cg==}\n---\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_come_in_does() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(
        &[
            PASSWORDS.to_owned(),
            service("one", &[backend.address]),
            ingress(
                "a",
                &[("auth-type", "basic"), ("auth-secret", "users"), ("auth-realm", "here")],
                "a.test",
                "/",
                "one",
            ),
            ingress("b", &[("whitelist-source-range", "10.0.0.0/8, 127.0.0.1")], "b.test", "/", "one"),
            ingress("c", &[("whitelist-source-range", "10.0.0.0/8")], "c.test", "/", "one"),
            ingress("d", &[("denylist-source-range", "127.0.0.0/8")], "d.test", "/", "one"),
            // What cannot be understood, or is not there, keeps everybody out.
            ingress("e", &[("whitelist-source-range", "10.0.0.0/99")], "e.test", "/", "one"),
            ingress("f", &[("auth-type", "basic"), ("auth-secret", "nobody")], "f.test", "/", "one"),
            ingress("g", &[("auth-url", "https://login.test")], "g.test", "/", "one"),
        ]
        .concat(),
    );
    for (host, status) in [
        ("a.test", 401),
        ("b.test", 200),
        ("c.test", 403),
        ("d.test", 403),
        ("e.test", 503),
        ("f.test", 503),
        ("g.test", 503),
    ] {
        assert_eq!(proxy.get(host, "/").await.status, status, "{host}");
    }
    assert_eq!(proxy.get("a.test", "/").await.header("www-authenticate"), "Basic realm=\"here\"");
    for (credentials, status) in
        [("YWRtaW46YWRtaW4=", 200), ("YWRtaW46YWRtaW4=", 200), ("YWRtaW46bm8=", 401), ("!", 401)]
    {
        let request =
            Request::get("/").header("host", "a.test").header("authorization", format!("Basic {credentials}"));
        assert_eq!(proxy.send(request, "").await.status, status, "{credentials}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_are_refused_announced_or_not() {
    let backend = Backend::start("one").await;
    let limited = ingress("a", &[("proxy-body-size", "1k")], "a.test", "/", "one");
    let proxy = Proxy::start(&[service("one", &[backend.address]), limited].concat());
    for (size, status) in [(1024, 200), (1025, 413)] {
        let request = Request::post("/").header("host", "a.test");
        assert_eq!(proxy.send(request, &"x".repeat(size)).await.status, status, "{size}");
        let parts = (0..size).step_by(5).map(move |at| "x".repeat(5.min(size - at)));
        let parts = parts.map(|part| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(part))));
        let request = Request::post("/").header("host", "a.test");
        let request = request.body(StreamBody::new(futures_util::stream::iter(parts)).boxed()).unwrap();
        let stream = TcpStream::connect(proxy.http).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{size} in parts");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_are_told_what_they_may() {
    let backend = Backend::start("one").await;
    let annotations =
        [("enable-cors", "true"), ("cors-allow-origin", "https://x.test, https://*.y.test"), ("cors-max-age", "5")];
    let proxy =
        Proxy::start(&[service("one", &[backend.address]), ingress("a", &annotations, "a.test", "/", "one")].concat());
    let ask = |method: &'static str, origin: &'static str| {
        let request = Request::builder().method(method).uri("/").header("host", "a.test").header("origin", origin);
        proxy.send(request, "")
    };
    let preflight = ask("OPTIONS", "https://z.y.test").await;
    assert_eq!((preflight.status, backend.requests()), (204, 0));
    assert_eq!(preflight.header("access-control-allow-origin"), "https://z.y.test");
    assert_eq!(preflight.header("access-control-max-age"), "5");
    assert_eq!(preflight.header("access-control-allow-credentials"), "true");
    assert_eq!(ask("GET", "https://x.test").await.header("access-control-allow-origin"), "https://x.test");
    assert_eq!(ask("GET", "https://evil.test").await.header("access-control-allow-origin"), "");
    assert_eq!(ask("OPTIONS", "https://evil.test").await.header("access-control-allow-methods"), "");
}
