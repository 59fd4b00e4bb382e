//! Taking connections, and letting go of them in an orderly way.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{Shared, Worker, headers::Peer, serve};

/// How long a client may take for TLS or for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long requests under way may take once the process has been told to end.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How often connections that nobody needs are looked for.
const TIDY_TIME: Duration = Duration::from_secs(15);
/// What may be under way in a stream and in a connection of HTTP/2 before the backend has read it.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
/// Connections that the system holds until they are taken.
const BACKLOG: i32 = 4096;

/// The sockets.
pub(crate) struct Listeners {
    /// For plain HTTP, and its configuration for TLS the other.
    http: TcpListener,
    https: TcpListener,
    tls: Arc<ServerConfig>,
    /// The ports that clients know them by.
    ports: (u16, u16),
}

/// Tells the workers to end.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    /// Not yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Now.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Listeners {
    /// Listens. `ports` are those that clients know.
    pub(crate) fn bind(
        http: SocketAddr,
        https: SocketAddr,
        tls: Arc<ServerConfig>,
        ports: (u16, u16),
    ) -> Result<Self, crate::Error> {
        Ok(Self { http: bind(http)?, https: bind(https)?, tls, ports })
    }

    /// Where it listens: plain HTTP first.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.http.local_addr()?, self.https.local_addr()?))
    }

    fn try_clone(&self) -> io::Result<Self> {
        let tls = Arc::clone(&self.tls);
        Ok(Self { http: self.http.try_clone()?, https: self.https.try_clone()?, tls, ports: self.ports })
    }
}

/// Listens at `address`; where the host has no IPv6, `[::]` means all of IPv4.
fn bind(address: SocketAddr) -> Result<TcpListener, crate::Error> {
    let listen = |address: SocketAddr| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The standard library's backlog is small for a burst of clients; listening again enlarges it.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok::<_, io::Error>(listener)
    };
    match listen(address) {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
    .map_err(|source| crate::Error::Listen { address, source })
}

/// Starts the workers. Each ends when it has been told to and its requests are done.
pub(crate) fn start(
    shared: &Arc<Shared>,
    listeners: &Listeners,
    workers: usize,
    shutdown: &Shutdown,
) -> Result<Vec<JoinHandle<()>>, crate::Error> {
    let worker = |number: usize| {
        let listeners = listeners.try_clone().map_err(crate::Error::Runtime)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(crate::Error::Runtime)?;
        let (shared, told) = (Arc::clone(shared), shutdown.0.subscribe());
        let body = move || {
            runtime.block_on(run(shared, listeners, told));
            runtime.shutdown_background();
        };
        thread::Builder::new().name(format!("worker-{number}")).spawn(body).map_err(crate::Error::Runtime)
    };
    (0..workers.max(1)).map(worker).collect()
}

async fn run(shared: Arc<Shared>, listeners: Listeners, mut told: watch::Receiver<bool>) {
    let worker = Arc::new(Worker::new(shared));
    let (http, https) =
        match (tokio::net::TcpListener::from_std(listeners.http), tokio::net::TcpListener::from_std(listeners.https)) {
            (Ok(http), Ok(https)) => (http, https),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "a worker cannot use its sockets");
                return;
            }
        };
    let acceptor = TlsAcceptor::from(listeners.tls);
    // Every connection holds a sender; the receiver learns when the last one is gone.
    let (alive, mut gone) = mpsc::channel::<Infallible>(1);
    let mut tidy = tokio::time::interval(TIDY_TIME);
    loop {
        let (accepted, tls) = tokio::select! {
            accepted = http.accept() => (accepted, None),
            accepted = https.accept() => (accepted, Some(acceptor.clone())),
            _ = tidy.tick() => {
                worker.pool.tidy();
                continue;
            }
            () = end(&mut told) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let port = if tls.is_some() { listeners.ports.1 } else { listeners.ports.0 };
                let peer = Peer::new(peer.ip(), tls.is_some(), port, &worker.shared.settings.trusted);
                let (worker, told, alive) = (Arc::clone(&worker), told.clone(), alive.clone());
                worker.shared.metrics.connections.add();
                tokio::spawn(async move {
                    connection(worker, stream, Arc::new(peer), tls, told).await;
                    drop(alive);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors: accepting again at once would spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((http, https, alive));
    if tokio::time::timeout(DRAIN_TIME, gone.recv()).await.is_err() {
        tracing::info!("some connections were still open at the end");
    }
}

/// Waits until the process shall end.
async fn end(told: &mut watch::Receiver<bool>) {
    // Whoever could tell being gone is the end as well.
    drop(told.wait_for(|told| *told).await);
}

async fn connection(
    worker: Arc<Worker>,
    stream: TcpStream,
    peer: Arc<Peer>,
    tls: Option<TlsAcceptor>,
    told: watch::Receiver<bool>,
) {
    // A connection that cannot be set up so is only slower.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return speak(worker, stream, peer, told).await };
    match tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(worker, stream, peer, told).await,
        Ok(Err(error)) => {
            worker.shared.metrics.handshakes_failed.add();
            tracing::debug!(%error, client = %peer.ip, "TLS failed");
        }
        Err(_) => worker.shared.metrics.handshakes_failed.add(),
    }
}

async fn speak<T>(worker: Arc<Worker>, stream: T, peer: Arc<Peer>, mut told: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| {
        let answer = serve::serve(Arc::clone(&worker), Arc::clone(&peer), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end(&mut told) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, client = %peer.ip, "a connection broke");
    }
}
