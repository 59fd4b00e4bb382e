//! Backends that are played.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A backend that tells what it was asked, and does what the path says.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) connections: Arc<AtomicUsize>,
    /// What it told of the last request.
    told: watch::Sender<String>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Starts one that calls itself `name`.
    pub(super) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (stop, told) = (watch::Sender::new(false), watch::Sender::new(String::new()));
        let counts = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(serve(listener, name, counts, told.clone(), stop.subscribe()));
        Self { address, requests, connections, told, stop, task }
    }

    /// Waits for a request that it tells something of, and gives that.
    pub(super) async fn heard(&self) -> String {
        let mut told = self.told.subscribe();
        told.wait_for(|text| !text.is_empty()).await.unwrap().clone()
    }

    /// How many requests came.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Ends as a well-behaved server does: no new connections, requests under way are answered.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

async fn serve(
    listener: TcpListener,
    name: &'static str,
    (requests, connections): (Arc<AtomicUsize>, Arc<AtomicUsize>),
    heard: watch::Sender<String>,
    mut told: watch::Receiver<bool>,
) {
    let (alive, mut gone) = mpsc::channel::<Infallible>(1);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = told.changed() => break,
        };
        connections.fetch_add(1, Ordering::SeqCst);
        let (requests, heard, mut told, alive) = (Arc::clone(&requests), heard.clone(), told.clone(), alive.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                requests.fetch_add(1, Ordering::SeqCst);
                let heard = heard.clone();
                async move { Ok::<_, Infallible>(answer(name, request, &heard).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                _ = connection.as_mut() => true,
                _ = told.changed() => false,
            };
            if !ended {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            drop(alive);
        });
    }
    drop((listener, alive));
    let _ = gone.recv().await;
}

async fn answer(name: &str, request: Request<Incoming>, heard: &watch::Sender<String>) -> Response<Body> {
    match request.uri().path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(700)).await;
            tell(name, request, heard).await
        }
        "/silent" => {
            std::future::pending::<()>().await;
            unreachable!("for ever is long")
        }
        "/stall" => {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"one")))]);
            let rest = futures_util::stream::pending();
            Response::new(boxed(StreamBody::new(futures_util::StreamExt::chain(first, rest))))
        }
        "/echo" => echo(request),
        "/grpc" => grpc(request).await,
        "/ws" => websocket(request),
        _ => tell(name, request, heard).await,
    }
}

fn boxed(body: impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
    BodyExt::boxed_unsync(body)
}

/// Says who answered and what was asked, in lines.
async fn tell(name: &str, request: Request<Incoming>, heard: &watch::Sender<String>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Response::new(boxed(Full::new(Bytes::from_static(b"broken"))));
    };
    let mut text = format!("{name}\n{} {} {:?}\n", head.method, head.uri.path_and_query().unwrap(), head.version);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    if let Some(authority) = head.uri.authority() {
        text.push_str(&format!("authority: {authority}\n"));
    }
    text.push_str(&format!("\n{}", String::from_utf8_lossy(&body.to_bytes())));
    heard.send_replace(text.clone());
    let mut response = Response::new(boxed(Full::new(Bytes::from(text))));
    response.headers_mut().insert("x-backend", HeaderValue::from_str(name).unwrap());
    response
}

/// Sends back each part of the body when it comes.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let frames = futures_util::StreamExt::map(http_body_util::BodyStream::new(request.into_body()), |frame| {
        Ok::<_, Infallible>(frame.unwrap_or_else(|_| Frame::data(Bytes::new())))
    });
    Response::new(boxed(StreamBody::new(frames)))
}

/// Answers like a gRPC server: the status comes after the body.
async fn grpc(request: Request<Incoming>) -> Response<Body> {
    let te = request.headers().get(header::TE).cloned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if te.is_some() { "0" } else { "13" }));
    let frames = [Ok::<_, Infallible>(Frame::data(body)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(boxed(StreamBody::new(futures_util::stream::iter(frames))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Becomes a line that gives back every byte, twice.
fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = Pin::new(&mut stream).read(&mut buffer).await {
            stream.write_all(&buffer[..count].repeat(2)).await.unwrap();
        }
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    let response = response.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket");
    response.body(boxed(Full::new(Bytes::new()))).unwrap()
}
