//! What is more than one question and one answer: streams, websockets, HTTP/2, gRPC.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use super::{
    backend::Backend,
    chunk,
    support::{Proxy, ingress, service},
};

/// A body that goes on as long as somebody sends, and the other end of it.
fn open_body() -> (
    mpsc::UnboundedSender<&'static str>,
    impl hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
) {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
    let parts = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let part = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(part.as_bytes()))), receiver))
    });
    (sender, StreamBody::new(Box::pin(parts)))
}

async fn proxy(backend: &Backend, annotations: &[(&str, &str)]) -> Proxy {
    Proxy::start(&[service("one", &[backend.address]), ingress("a", annotations, "a.test", "/", "one")].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_bodies_flow_at_the_same_time() {
    let backend = Backend::start("one").await;
    for annotations in [&[][..], &[("backend-protocol", "GRPC")]] {
        let proxy = proxy(&backend, annotations).await;
        // HTTP/1.1 in front.
        let stream = TcpStream::connect(proxy.http).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (parts, body) = open_body();
        parts.send("one").unwrap();
        let request = Request::post("/echo").header("host", "a.test").body(body).unwrap();
        let mut response = sender.send_request(request).await.unwrap();
        assert_eq!(chunk(response.body_mut()).await, "one");
        parts.send("two").unwrap();
        assert_eq!(chunk(response.body_mut()).await, "two");
        drop(parts);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
        // HTTP/2 in front.
        let mut sender = proxy.h2().await;
        let (parts, body) = open_body();
        parts.send("one").unwrap();
        let request = Request::post("http://a.test/echo").version(Version::HTTP_2).body(body).unwrap();
        let mut response = sender.send_request(request).await.unwrap();
        assert_eq!(chunk(response.body_mut()).await, "one");
        parts.send("two").unwrap();
        assert_eq!(chunk(response.body_mut()).await, "two");
        drop(parts);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
    }
}

/// What comes at once leaves together with the head; what does not must not hold it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_does_not_wait_for_its_body() {
    let backend = Backend::start("one").await;
    let proxy = proxy(&backend, &[]).await;
    let stream = TcpStream::connect(proxy.http).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let (parts, body) = open_body();
        let request = Request::post("/echo").header("host", "a.test").body(body).unwrap();
        let mut response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        parts.send("late").unwrap();
        assert_eq!(chunk(response.body_mut()).await, "late");
        drop(parts);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
        sender.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_becomes_a_line() {
    let backend = Backend::start("one").await;
    let proxy = proxy(&backend, &[]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let ask = b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly";
    stream.write_all(ask).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("earlyearly") {
        let mut buffer = [0; 512];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(seen.starts_with("HTTP/1.1 101 "), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("upgrade: websocket\r\n"), "{seen}");
    // Other routes or none: a line that stands is left alone.
    proxy.load("");
    stream.write_all(b"late").await.unwrap();
    let mut buffer = [0; 8];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"latelate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_line_is_cut_when_the_annotation_says_so() {
    let backend = Backend::start("one").await;
    let proxy = proxy(&backend, &[("proxy-read-timeout", "200ms")]).await;
    let mut stream = TcpStream::connect(proxy.http).await.unwrap();
    let ask = b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_calls_end_with_their_trailers() {
    let backend = Backend::start("one").await;
    let proxy = proxy(&backend, &[("backend-protocol", "GRPC")]).await;
    let mut sender = proxy.h2().await;
    for _ in 0..3 {
        let request = Request::post("http://a.test/grpc").version(Version::HTTP_2);
        let request = request.header("te", "trailers").header("content-type", "application/grpc");
        let request = request.body(Full::new(Bytes::from_static(b"message"))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "message");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_can_say_that_it_speaks_http_2() {
    let backend = Backend::start("one").await;
    let yaml = service("one", &[backend.address]).replace("{port: 80}", "{port: 80, appProtocol: kubernetes.io/h2c}");
    let proxy = Proxy::start(&[yaml, ingress("a", &[], "a.test", "/", "one")].concat());
    let told = proxy.get("a.test", "/x").await.body;
    assert!(told.contains("GET /x HTTP/2.0\n") && told.contains("authority: a.test\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_that_came_apart_are_joined_for_http_1() {
    let backend = Backend::start("one").await;
    let proxy = proxy(&backend, &[]).await;
    let request =
        Request::get("http://a.test/").version(Version::HTTP_2).header("cookie", "a=1").header("cookie", "b=2");
    let mut sender = proxy.h2().await;
    let response = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    let told = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&told).contains("\ncookie: a=1; b=2\n"), "{told:?}");
}
