//! Connections to backends, kept open between requests.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{body::RequestBody, tls_client};
use crate::ingress::table::Protocol;

/// How many idle connections to keep for an endpoint.
const KEPT: usize = 128;
/// How long to keep an idle connection.
const KEPT_TIME: Duration = Duration::from_mins(1);
/// How long an endpoint that could not be connected to is only the last resort.
const DEAD_TIME: Duration = Duration::from_secs(2);
/// What may be under way in a stream and in a connection of HTTP/2 before the other side has read it.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// An endpoint and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Its address.
    pub(super) address: SocketAddr,
    /// Its protocol.
    pub(super) protocol: Protocol,
}

/// A connection that can take a request.
pub(super) enum Sender {
    /// For one request at a time.
    One(http1::SendRequest<RequestBody>),
    /// For many.
    Many(http2::SendRequest<RequestBody>),
}

/// The connections of one worker.
pub(super) struct Pool(Mutex<Connections>);

#[derive(Default)]
struct Connections {
    idle: HashMap<Key, Vec<(http1::SendRequest<RequestBody>, Instant)>>,
    shared: HashMap<Key, http2::SendRequest<RequestBody>>,
    dead: HashMap<SocketAddr, Instant>,
}

/// A connection for one request, given back when the answer has been read to its end.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    key: Key,
    sender: http1::SendRequest<RequestBody>,
}

impl Lease {
    /// Of a connection that came from `pool`.
    pub(super) fn new(pool: &Arc<Pool>, key: Key, sender: http1::SendRequest<RequestBody>) -> Self {
        Self { pool: Arc::clone(pool), key, sender }
    }

    /// Makes the connection free for the next request.
    pub(super) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut connections = self.pool.lock();
        let idle = connections.idle.entry(self.key).or_default();
        if idle.len() < KEPT {
            idle.push((self.sender, Instant::now()));
        }
    }
}

impl Pool {
    /// Without any connection.
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is open already.
    pub(super) fn take(&self, key: Key) -> Option<Sender> {
        let mut connections = self.lock();
        if key.protocol.is_h2() {
            let sender = connections.shared.get(&key)?.clone();
            if !sender.is_closed() {
                return Some(Sender::Many(sender));
            }
            connections.shared.remove(&key);
            return None;
        }
        let idle = connections.idle.get_mut(&key)?;
        let mut next = idle.len();
        while next > 0 {
            next -= 1;
            let (sender, since) = &idle[next];
            if sender.is_closed() || since.elapsed() > KEPT_TIME {
                idle.swap_remove(next);
            } else if sender.is_ready() {
                return Some(Sender::One(idle.swap_remove(next).0));
            }
        }
        None
    }

    /// Whether connecting to an endpoint failed a moment ago.
    pub(super) fn is_dead(&self, address: SocketAddr) -> bool {
        let mut connections = self.lock();
        if connections.dead.is_empty() {
            return false;
        }
        let since = connections.dead.get(&address).copied();
        let dead = since.is_some_and(|since| since.elapsed() < DEAD_TIME);
        if since.is_some() && !dead {
            connections.dead.remove(&address);
        }
        dead
    }

    /// Notes that an endpoint could not be connected to.
    pub(super) fn mark_dead(&self, address: SocketAddr) {
        self.lock().dead.insert(address, Instant::now());
    }

    /// Forgets a connection for many requests that turned out to be of no use.
    pub(super) fn forget(&self, key: Key) {
        self.lock().shared.remove(&key);
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, key: Key, host: &str) -> std::io::Result<Sender> {
        let stream = TcpStream::connect(key.address).await?;
        stream.set_nodelay(true)?;
        let sender = if key.protocol.is_tls() {
            handshake(tls_client::secure(stream, host, key.protocol).await?, key.protocol).await
        } else {
            handshake(stream, key.protocol).await
        }
        .map_err(std::io::Error::other)?;
        if let Sender::Many(sender) = &sender {
            self.lock().shared.insert(key, sender.clone());
        }
        Ok(sender)
    }

    /// Closes what nobody needs any more.
    pub(super) fn tidy(&self) {
        let mut connections = self.lock();
        connections.idle.retain(|_, idle| {
            idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < KEPT_TIME);
            !idle.is_empty()
        });
        connections.shared.retain(|_, sender| !sender.is_closed());
        connections.dead.retain(|_, since| since.elapsed() < DEAD_TIME);
    }
}

async fn handshake<T>(stream: T, protocol: Protocol) -> Result<Sender, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    if protocol.is_h2() {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let (sender, connection) = builder.handshake(io).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a backend ended");
            }
        });
        return Ok(Sender::Many(sender));
    }
    let (sender, connection) = http1::handshake(io).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    Ok(Sender::One(sender))
}
