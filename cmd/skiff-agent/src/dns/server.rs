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

/// How far a request could be answered without waiting.
pub(crate) enum Step<Rest> {
    /// Completely.
    Done(Message),
    /// Half; the rest takes a while.
    Later(Rest),
    /// Not at all: it was no request.
    Ignore,
}

/// Who knows the answers.
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
        let Some(request) = decode(bytes) else {
            if let Some(refusal) = form_error(bytes) {
                // A client that sends garbage may as well miss the answer to it.
                let _ = socket.try_send_to(&refusal, peer);
            }
            return;
        };
        let limit = wire::udp_limit(&request);
        match self.responder.begin(&request) {
            Step::Ignore => {}
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
        let answer = match decode(bytes) {
            None => form_error(bytes)?,
            Some(request) => {
                let response = match self.responder.begin(&request) {
                    Step::Ignore => return None,
                    Step::Done(response) => response,
                    Step::Later(pending) => self.responder.finish(pending).await,
                };
                self.encode(response, wire::MAX_TCP_SIZE, started)?
            }
        };
        let length = u16::try_from(answer.len()).ok()?;
        Some([&length.to_be_bytes(), answer.as_slice()].concat())
    }

    fn encode(&self, response: Message, limit: usize, started: Instant) -> Option<Vec<u8>> {
        self.metrics.responded(response.metadata.response_code);
        let encoded = wire::encode(response, limit);
        self.metrics.duration.observe(started.elapsed());
        encoded.inspect_err(|error| tracing::warn!(%error, "cannot encode an answer")).ok()
    }
}

fn decode(bytes: &[u8]) -> Option<Message> {
    Message::from_vec(bytes).inspect_err(|error| tracing::debug!(%error, "malformed request")).ok()
}

/// The answer to a request that cannot be read. None for what is too short to be one, or is a response:
/// answering those could keep two servers talking for ever.
fn form_error(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_request = bytes.len() >= HEADER_SIZE && bytes[2] & 0x80 == 0;
    let id = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    is_request.then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok())?
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "socket trouble");
    // Trying again at once could spin.
    tokio::time::sleep(Duration::from_millis(10)).await;
}
