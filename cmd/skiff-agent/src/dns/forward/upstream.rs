//! One upstream server: asking it over UDP, then over TCP if need be, and remembering how it does.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hickory_proto::{op::Message, rr::Name};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use crate::wire;

/// After this many failures in a row an upstream is left alone for a while.
const TOLERATED_FAILURES: u32 = 2;
/// The first such while; each further failure doubles it.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest such while.
const MAX_REST: Duration = Duration::from_secs(8);

/// A server that foreign names are forwarded to.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A name that only this process asks this upstream for: whoever receives the question is in a loop.
    pub(crate) probe: Name,
    looped: AtomicBool,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    resting_until: Option<Instant>,
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The socket failed.
    #[error("cannot reach the server")]
    Unreachable(#[from] std::io::Error),
    /// The question could not be written, or the answer not be read.
    #[error("malformed message")]
    Malformed,
    /// No answer in time.
    #[error("no answer in time")]
    Silent,
}

impl Upstream {
    /// An upstream that is taken to be well until it fails.
    pub(crate) fn new(address: SocketAddr) -> Self {
        // Message ids are random; four of them make a label nobody guesses.
        let nonce: String = (0..4).map(|_| format!("{:04x}", Message::query().metadata.id)).collect();
        let probe = Name::from_ascii(format!("{nonce}.loop-check.invalid.")).unwrap_or_else(|_| Name::root());
        Self { address, probe, looped: AtomicBool::new(false), health: Mutex::default() }
    }

    /// Asks the upstream; a truncated answer is asked for again over TCP.
    pub(crate) async fn ask(&self, question: &Message, patience: Duration) -> Result<Message, Failure> {
        let exchange = async {
            let reply = self.ask_udp(question).await?;
            if reply.metadata.truncation { self.ask_tcp(question).await } else { Ok(reply) }
        };
        tokio::time::timeout(patience, exchange).await.unwrap_or(Err(Failure::Silent))
    }

    async fn ask_udp(&self, question: &Message) -> Result<Message, Failure> {
        // A socket for each question: the random port is half of the protection against forged answers.
        let any: SocketAddr = match self.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.address).await?;
        socket.send(&question.to_vec().map_err(|_| Failure::Malformed)?).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            match Message::from_vec(&buffer[..length]) {
                Ok(reply) if wire::answers(&reply, question) => return Ok(reply),
                _ => tracing::debug!(upstream = %self.address, "passed over a datagram that answers nothing"),
            }
        }
    }

    async fn ask_tcp(&self, question: &Message) -> Result<Message, Failure> {
        let bytes = question.to_vec().map_err(|_| Failure::Malformed)?;
        let length = u16::try_from(bytes.len()).map_err(|_| Failure::Malformed)?;
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await?;
        let reply = Message::from_vec(&buffer).map_err(|_| Failure::Malformed)?;
        if wire::answers(&reply, question) { Ok(reply) } else { Err(Failure::Malformed) }
    }

    /// Whether the upstream is worth asking at `now`.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        !self.looped.load(Ordering::Relaxed) && self.health().resting_until.is_none_or(|until| now >= until)
    }

    /// Remembers that this upstream leads back to ourselves. It is not asked again.
    pub(crate) fn mark_looped(&self) {
        if !self.looped.swap(true, Ordering::Relaxed) {
            tracing::warn!(upstream = %self.address, "upstream leads back to this server: not used any more");
        }
    }

    /// Remembers an answer.
    pub(crate) fn succeeded(&self) {
        *self.health() = Health::default();
    }

    /// Remembers a failure; after a few of them the upstream gets a rest.
    pub(crate) fn failed(&self, now: Instant) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        if let Some(over) = health.failures.checked_sub(TOLERATED_FAILURES) {
            let rest = FIRST_REST.saturating_mul(1 << over.min(8)).min(MAX_REST);
            health.resting_until = Some(now + rest);
        }
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        // The guarded value is whole at every point, so a panic elsewhere does not spoil it.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_upstream_rests_longer_and_longer_until_it_answers() {
        let (upstream, now) = (Upstream::new((Ipv4Addr::LOCALHOST, 1).into()), Instant::now());
        upstream.failed(now);
        assert!(upstream.is_usable(now), "one failure is bad luck");
        upstream.failed(now);
        assert!(!upstream.is_usable(now));
        assert!(upstream.is_usable(now + FIRST_REST));
        for _ in 0..40 {
            upstream.failed(now);
        }
        assert!(!upstream.is_usable(now + FIRST_REST));
        assert!(upstream.is_usable(now + MAX_REST));
        upstream.succeeded();
        assert!(upstream.is_usable(now));
    }

    #[test]
    fn a_looped_upstream_stays_unused() {
        let upstream = Upstream::new((Ipv4Addr::LOCALHOST, 1).into());
        upstream.mark_looped();
        upstream.succeeded();
        assert!(!upstream.is_usable(Instant::now()));
    }

    #[test]
    fn probes_differ() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        assert_ne!(Upstream::new(address).probe, Upstream::new(address).probe);
    }
}
