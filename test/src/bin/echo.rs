//! A backend for tests that runs in pods: HTTP/1.1, HTTP/2, websockets and gRPC on one port, each answer with the pod's name.
//!
//! It ends as servers should: it stays for a while after it was told to go, then finishes what is under way.

use std::{convert::Infallible, env, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

/// What it listens at.
const PORT: u16 = 8080;
/// How long the news that a pod goes may take to reach everybody.
const STAY: Duration = Duration::from_secs(2);

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let mut told = signal(SignalKind::terminate())?;
    let leave = watch::Sender::new(false);
    let (alive, mut gone) = mpsc::channel::<Infallible>(1);
    let mut end = std::pin::pin!(async {
        told.recv().await;
        tokio::time::sleep(STAY).await;
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (leaving, alive) = (leave.subscribe(), alive.clone());
                let (stream, _) = accepted?;
                tokio::spawn(async move {
                    connection(stream, leaving).await;
                    drop(alive);
                });
            }
            () = &mut end => break,
        }
    }
    leave.send_replace(true);
    drop((listener, alive));
    let _ = gone.recv().await;
    Ok(())
}

async fn connection(stream: TcpStream, mut leaving: watch::Receiver<bool>) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        _ = leaving.changed() => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let name = env::var("HOSTNAME").unwrap_or_default();
    let kind = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") {
        return grpc(request).await;
    }
    if request.headers().contains_key(header::UPGRADE) {
        return websocket(request);
    }
    let mut text = format!("{name}\n{} {}\n", request.method(), request.uri().path());
    for (key, value) in request.headers() {
        text.push_str(&format!("{key}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
    Response::new(Full::new(Bytes::from(text)).boxed_unsync())
}

/// Gives the message back.
async fn grpc(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok::<_, Infallible>(Frame::data(body)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Gives each message back.
fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    let accept = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(_) = message
                && socket.send(message).await.is_err()
            {
                return;
            }
        }
    });
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers
        .extend(accept.and_then(|key| HeaderValue::from_str(&key).ok()).map(|key| (header::SEC_WEBSOCKET_ACCEPT, key)));
    response
}
