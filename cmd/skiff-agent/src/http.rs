//! The small HTTP server beside each long-running role: `/health`, `/ready`, `/metrics`, `/drain`.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

/// How long `/drain` holds its answer: long enough for every node to have heard that we are leaving.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// A client that takes longer to send its request is dropped.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// What a role tells about itself.
pub(crate) trait Probe: Send + Sync + 'static {
    /// Whether the role can do its work.
    fn is_ready(&self) -> bool;
    /// The role's metrics, in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Listens at `address`; where the host has no IPv6, `[::]` means all of IPv4.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, crate::Error> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
    .map_err(|source| crate::Error::Listen { address, source })
}

/// Serves `probe` until the process ends.
pub(crate) async fn serve(listener: TcpListener, probe: Arc<dyn Probe>) {
    let draining = Arc::new(AtomicBool::new(false));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&probe), Arc::clone(&draining)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a health connection");
                // Out of file descriptors: accepting again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, probe: Arc<dyn Probe>, draining: Arc<AtomicBool>) {
    let service = service_fn(move |request| {
        let (probe, draining) = (Arc::clone(&probe), Arc::clone(&draining));
        async move { Ok::<_, Infallible>(answer(&request, probe.as_ref(), &draining).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "health connection failed");
    }
}

async fn answer(request: &Request<Incoming>, probe: &dyn Probe, draining: &AtomicBool) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/health" => text(StatusCode::OK, "ok\n"),
        "/ready" if draining.load(Ordering::Relaxed) => text(StatusCode::SERVICE_UNAVAILABLE, "leaving\n"),
        "/ready" if probe.is_ready() => text(StatusCode::OK, "ok\n"),
        "/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/metrics" => text(StatusCode::OK, probe.metrics()),
        // For a preStop hook: a pod that is deleted goes on serving until nobody sends it anything more,
        // while the end of the whole machine, which runs no hooks, is not held up.
        "/drain" => {
            draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(DRAIN_TIME).await;
            text(StatusCode::OK, "drained\n")
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Role(AtomicBool);

    impl Probe for Role {
        fn is_ready(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }

        fn metrics(&self) -> String {
            "a 1\n".to_owned()
        }
    }

    async fn start() -> (SocketAddr, Arc<Role>) {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let (address, role) = (listener.local_addr().unwrap(), Arc::new(Role(AtomicBool::new(false))));
        tokio::spawn(serve(listener, Arc::clone(&role) as Arc<dyn Probe>));
        (address, role)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_role_is_healthy_at_once_and_ready_when_it_says_so() {
        let (address, role) = start().await;
        assert!(get(address, "/health").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/ready").await.starts_with("HTTP/1.1 503 "));
        role.0.store(true, Ordering::Relaxed);
        assert!(get(address, "/ready").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/metrics").await.ends_with("\r\n\r\na 1\n"));
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn who_drains_is_healthy_but_not_ready_any_more() {
        let (address, role) = start().await;
        role.0.store(true, Ordering::Relaxed);
        let drain = tokio::spawn(async move { get(address, "/drain").await });
        while get(address, "/ready").await.starts_with("HTTP/1.1 200 ") {
            tokio::task::yield_now().await;
        }
        assert!(get(address, "/health").await.starts_with("HTTP/1.1 200 "));
        drain.abort();
    }
}
