//! The sockets: UDP and TCP, and the frames in between.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use super::metrics::ServerMetrics;
use crate::{Error, wire};

/// More connections than this at a time wait for their turn.
const MAX_CONNECTIONS: usize = 256;
/// A connection that says nothing for so long is closed.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// The size of a DNS header.
const HEADER_SIZE: usize = 12;
/// Set in the third byte of responses; the four bits after it say what a request is.
const IS_RESPONSE: u8 = 0x80;

/// How far a request could be answered without waiting.
pub(crate) enum Step<Rest> {
    /// Completely.
    Done(Message),
    /// Half; the rest takes a while.
    Later(Rest),
}

/// Who knows the answers to queries.
pub(crate) trait Answers: Send + Sync + 'static {
    /// What an answer that takes a while still needs.
    type Rest: Send + 'static;

    /// Answers as far as is possible at once.
    fn begin(&self, request: &Message) -> Step<Self::Rest>;

    /// Answers the rest.
    fn finish(&self, rest: Self::Rest) -> impl Future<Output = Message> + Send;
}

/// A pair of sockets at one address.
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Listens at `address`; where the host has no IPv6, `[::]` means all of IPv4.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Error> {
        match Self::bind_exactly(address).await {
            Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
                Self::bind_exactly((Ipv4Addr::UNSPECIFIED, address.port()).into()).await
            }
            bound => bound,
        }
        .map_err(|source| Error::Listen { address, source })
    }

    async fn bind_exactly(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        // With port 0, which tests use, both sockets share the port that was found.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    /// The address that was bound.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.udp.local_addr().unwrap()
    }

    /// The sockets themselves.
    #[cfg(test)]
    pub(super) fn into_parts(self) -> (UdpSocket, TcpListener) {
        (self.udp, self.tcp)
    }
}

/// Serves requests until the process ends.
pub(crate) async fn serve<A: Answers>(sockets: Sockets, responder: Arc<A>, metrics: Arc<ServerMetrics>) {
    let server = Arc::new(Server { responder, metrics });
    tokio::join!(server.clone().serve_udp(Arc::new(sockets.udp)), server.serve_tcp(sockets.tcp));
}

struct Server<A> {
    responder: Arc<A>,
    metrics: Arc<ServerMetrics>,
}

impl<A: Answers> Server<A> {
    async fn serve_udp(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0; wire::MAX_TCP_SIZE];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, peer)) => self.datagram(&buffer[..length], peer, &socket),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn datagram(self: &Arc<Self>, bytes: &[u8], peer: SocketAddr, socket: &Arc<UdpSocket>) {
        let started = Instant::now();
        self.metrics.udp_requests.add();
        let Some((step, limit)) = self.begin(bytes) else { return };
        match step {
            Step::Done(response) => {
                let Some(bytes) = self.encode(response, limit, started) else { return };
                if socket.try_send_to(&bytes, peer).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    let socket = Arc::clone(socket);
                    tokio::spawn(async move { socket.send_to(&bytes, peer).await });
                }
            }
            Step::Later(pending) => {
                let (server, socket) = (Arc::clone(self), Arc::clone(socket));
                tokio::spawn(async move {
                    let response = server.responder.finish(pending).await;
                    if let Some(bytes) = server.encode(response, limit, started)
                        && let Err(error) = socket.send_to(&bytes, peer).await
                    {
                        tracing::debug!(%peer, %error, "cannot send an answer");
                    }
                });
            }
        }
    }

    async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let server = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = server.connection(stream).await {
                            tracing::debug!(%peer, %error, "connection failed");
                        }
                        drop(permit);
                    });
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::new();
        loop {
            let Ok(length) = timeout(IDLE_TIME, stream.read_u16()).await else { return Ok(()) };
            let length = match length {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            buffer.resize(usize::from(length), 0);
            timeout(IDLE_TIME, stream.read_exact(&mut buffer)).await??;
            let Some(answer) = self.frame(&buffer).await else { return Ok(()) };
            timeout(IDLE_TIME, stream.write_all(&answer)).await??;
        }
    }

    /// Answers one request that came over TCP, with the length before it.
    async fn frame(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let started = Instant::now();
        self.metrics.tcp_requests.add();
        let response = match self.begin(bytes)?.0 {
            Step::Done(response) => response,
            Step::Later(pending) => self.responder.finish(pending).await,
        };
        let answer = self.encode(response, wire::MAX_TCP_SIZE, started)?;
        let length = u16::try_from(answer.len()).ok()?;
        Some([&length.to_be_bytes(), answer.as_slice()].concat())
    }

    /// The answer to what a client sent, with the size it may have over UDP. None for what is no request.
    fn begin(&self, bytes: &[u8]) -> Option<(Step<A::Rest>, usize)> {
        Some(match query(bytes)? {
            Ok(query) => (self.responder.begin(&query), wire::udp_limit(&query)),
            Err(refusal) => (Step::Done(refusal), wire::PLAIN_UDP_SIZE),
        })
    }

    fn encode(&self, response: Message, limit: usize, started: Instant) -> Option<Vec<u8>> {
        self.metrics.responded(response.metadata.response_code);
        let encoded = wire::encode(response, limit);
        self.metrics.duration.observe(started.elapsed());
        encoded.inspect_err(|error| tracing::warn!(%error, "cannot encode an answer")).ok()
    }
}

/// Reads a query, or says in a bare header why it is none that can be answered. Nothing for what is too
/// short to be a request, or is a response: answering those could keep two servers talking for ever.
fn query(bytes: &[u8]) -> Option<Result<Message, Message>> {
    let [high, low, flags, ..] = *bytes.get(..HEADER_SIZE)? else { return None };
    if flags & IS_RESPONSE != 0 {
        return None;
    }
    let op_code = OpCode::from_u8(flags >> 3);
    let refusal = |code| Message::error_msg(u16::from_be_bytes([high, low]), op_code, code);
    if op_code != OpCode::Query {
        // The sections of updates and the like mean other things: they are not read, nor repeated.
        return Some(Err(refusal(ResponseCode::NotImp)));
    }
    let query = Message::from_vec(bytes).inspect_err(|error| tracing::debug!(%error, "malformed query"));
    Some(query.map_err(|_| refusal(ResponseCode::FormErr)))
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "socket trouble");
    // Trying again at once could spin.
    tokio::time::sleep(Duration::from_millis(10)).await;
}
