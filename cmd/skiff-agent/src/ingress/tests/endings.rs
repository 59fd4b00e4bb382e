//! Backends that are gone, slow or replaced, and the end of the proxy itself.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    backend::Backend,
    support::{Proxy, ingress, service},
};
use crate::ingress::access_log::AccessLog;

/// An address that nobody listens at.
async fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

fn at(endpoints: &[SocketAddr]) -> String {
    [service("one", endpoints), ingress("a", &[], "a.test", "/", "one")].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_endpoints_are_passed_over() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(&at(&[nobody().await, backend.address, nobody().await]));
    for _ in 0..10 {
        assert_eq!(proxy.get("a.test", "/").await.status, 200);
        let post = Request::post("/").header("host", "a.test");
        assert!(proxy.send(post, "body").await.body.ends_with("\nbody"));
    }
    assert_eq!(backend.requests(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_home_is_said() {
    let proxy = Proxy::start(&at(&[nobody().await]));
    assert_eq!(proxy.get("a.test", "/").await.status, 502);
    proxy.load(&at(&[]));
    let reply = proxy.get("a.test", "/").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("default/one:80 has no pods that are ready"), "{}", reply.body);
    proxy.load(&ingress("a", &[], "a.test", "/", "nothing"));
    assert_eq!(proxy.get("a.test", "/").await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_for_the_pod_that_replaces_the_last_one() {
    let backend = Backend::start("one").await;
    let proxy = Arc::new(Proxy::start(&at(&[nobody().await])));
    let asked = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { proxy.send(Request::post("/").header("host", "a.test"), "body").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.load(&at(&[backend.address]));
    assert!(asked.await.unwrap().body.ends_with("\nbody"));
}

/// A server that closes each connection after its first answer, or instead of its second.
async fn one_answer_each(count: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut buffer = [0; 2048];
                if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                // The next request is read and then left without an answer.
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_cost_nothing_and_nothing_is_done_twice() {
    let count = Arc::new(AtomicUsize::new(0));
    let proxy = Proxy::start(&at(&[one_answer_each(Arc::clone(&count)).await]));
    for _ in 0..20 {
        assert_eq!(proxy.get("a.test", "/").await.status, 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 20);
    // These must not be sent twice; while pods come and go they get connections of their own.
    for _ in 0..20 {
        assert_eq!(proxy.send(Request::post("/").header("host", "a.test"), "pay").await.status, 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_take_too_long_are_given_up() {
    let backend = Backend::start("one").await;
    let short = ingress("a", &[("proxy-read-timeout", "300ms")], "a.test", "/", "one");
    let proxy = Proxy::start(&[service("one", &[backend.address]), short].concat());
    assert_eq!(proxy.get("a.test", "/silent").await.status, 504);
    assert_eq!(proxy.send(Request::post("/silent").header("host", "a.test"), "x").await.status, 504);
    // A body that stops in the middle ends the connection: there is no other way to tell.
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(b"GET /stall HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.unwrap();
    let text = String::from_utf8_lossy(&seen);
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("one") && !text.ends_with("0\r\n\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_backends_are_used_again() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(&at(&[backend.address]));
    for _ in 0..50 {
        proxy.get("a.test", "/").await;
    }
    // One for each worker.
    assert!(backend.connections.load(Ordering::SeqCst) <= 2);
}

/// Asks all the time while backends are replaced, one after the other, and expects that nothing fails.
async fn replace_backends(method: &'static str, news_first: bool) {
    let mut last = Backend::start("first").await;
    let proxy = Arc::new(Proxy::start(&at(&[last.address])));
    let done = Arc::new(AtomicBool::new(false));
    let client = |_| {
        let (proxy, done) = (Arc::clone(&proxy), Arc::clone(&done));
        tokio::spawn(async move {
            let mut count = 0;
            while !done.load(Ordering::SeqCst) {
                let request = Request::builder().method(method).uri("/").header("host", "a.test");
                let reply = proxy.send(request, if method == "POST" { "body" } else { "" }).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                count += 1;
            }
            count
        })
    };
    let clients: Vec<_> = (0..4).map(client).collect();
    for _ in 0..8 {
        let next = Backend::start("next").await;
        proxy.load(&at(&[last.address, next.address]));
        tokio::time::sleep(Duration::from_millis(20)).await;
        if news_first {
            proxy.load(&at(&[next.address]));
            tokio::time::sleep(Duration::from_millis(200)).await;
            last.stop().await;
        } else {
            let stopped = tokio::spawn(last.stop());
            tokio::time::sleep(Duration::from_millis(10)).await;
            proxy.load(&at(&[next.address]));
            stopped.await.unwrap();
        }
        last = next;
    }
    done.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_fails_while_backends_are_replaced_even_if_the_news_comes_late() {
    replace_backends("GET", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_fails_while_backends_are_replaced_if_the_news_comes_first() {
    replace_backends("POST", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_are_finished_at_the_end() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(&at(&[backend.address]));
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    while backend.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let address = proxy.http;
    proxy.stop().await;
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    assert!(seen.starts_with("HTTP/1.1 200 "), "{seen}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_a_line_of_the_log() {
    let backend = Backend::start("one").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = AccessLog::to(file.reopen().unwrap());
    let proxy = Proxy::with_log(&at(&[backend.address]), log);
    let request = Request::get("/x?y=z").header("host", "a.test").header("user-agent", "me \"1\"");
    proxy.send(request, "").await;
    proxy.get("b.test", "/").await;
    let read = || std::fs::read_to_string(file.path()).unwrap();
    while read().lines().count() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = read();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("127.0.0.1 20"), "{text}");
    assert!(lines[0].contains(" \"a.test\" \"GET /x?y=z HTTP/1.1\" 200 "), "{text}");
    let tail = format!(" default/a default/one:80 {} \"me \\\"1\\\"\"", backend.address);
    assert!(lines[0].ends_with(&tail), "{text}");
    assert!(lines[1].contains(" 404 ") && lines[1].ends_with(" - - - \"-\""), "{text}");
}
