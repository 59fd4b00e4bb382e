//! From an address to a logged-in session.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use skiff_runner::{RunError, SshTarget};
use ssh2::{ErrorCode, MethodType, Session};

use crate::host_key::HostKey;

/// Pause between two tries. A node that boots answers within tens of milliseconds of being able to.
const PAUSE: Duration = Duration::from_millis(25);
/// How long the first try waits for the connection, and then for the server's first byte. A port forwarder
/// may accept long before the node can be reached, so waiting for longer means missing the moment. After a try in
/// vain the next one waits twice as long, as long as [`HANDSHAKE`] at last: where a machine is emulated on a busy
/// host, its server takes seconds for its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(1);
/// How long one try may take from the server's first byte on; emulated machines are slow.
const HANDSHAKE: Duration = Duration::from_secs(15);

const KEX_FAILURE: i32 = -5;
const FILE: i32 = -16;
const AUTHENTICATION_FAILED: i32 = -18;
const PUBLICKEY_UNVERIFIED: i32 = -19;

/// Everything needed to open sessions.
#[derive(Debug)]
pub(crate) struct Login {
    target: SshTarget,
    host_key: HostKey,
    private_key: String,
}

/// A logged-in session and its socket.
pub(crate) struct Connection {
    /// The session, in blocking mode between commands.
    pub(crate) session: Session,
    /// The socket it uses, to wait on.
    pub(crate) socket: TcpStream,
}

/// Why one try failed.
#[derive(Debug)]
enum Refusal {
    /// The node may still be booting.
    NotYet(String),
    /// No later try can do better.
    Final(String),
}

impl Login {
    /// Reads the key file and the host key of a target.
    pub(crate) fn prepare(target: &SshTarget) -> Result<Self, RunError> {
        let refuse = |detail| connection_error(target, detail);
        let host_key = HostKey::parse(&target.host_key).map_err(refuse)?;
        let private_key = std::fs::read_to_string(&target.key)
            .map_err(|error| refuse(format!("cannot read the key {}: {error}", target.key.display())))?;
        Ok(Self { target: target.clone(), host_key, private_key })
    }

    /// The node this is about.
    pub(crate) fn target(&self) -> &SshTarget {
        &self.target
    }

    /// Opens a session, trying again until `patience` is over or nobody is `wanted` any more.
    pub(crate) fn open(&self, patience: Duration, wanted: impl Fn() -> bool) -> Result<Connection, RunError> {
        let start = Instant::now();
        let mut first_byte = FIRST_BYTE;
        loop {
            let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
            let begun = Instant::now();
            let last = match self.attempt(left, first_byte) {
                Ok(connection) => {
                    tracing::debug!(address = %self.target.address, elapsed = ?start.elapsed(), "ssh session open");
                    return Ok(connection);
                }
                Err(Refusal::Final(detail)) => {
                    return Err(RunError::Refused { target: name(&self.target), detail });
                }
                Err(Refusal::NotYet(detail)) => detail,
            };
            if start.elapsed() + PAUSE >= patience || !wanted() {
                let detail = format!("{last} (tried for {:.1} s)", start.elapsed().as_secs_f32());
                return Err(connection_error(&self.target, detail));
            }
            if begun.elapsed() >= first_byte {
                first_byte = (first_byte * 2).min(HANDSHAKE);
            }
            thread::sleep(PAUSE);
        }
    }

    fn attempt(&self, left: Duration, first_byte: Duration) -> Result<Connection, Refusal> {
        let socket = reach(self.target.address, first_byte.min(left))?;
        let mut session = Session::new().map_err(not_yet)?;
        let limit = HANDSHAKE.min(left).as_millis();
        session.set_timeout(u32::try_from(limit).unwrap_or(u32::MAX).max(1));
        session.method_pref(MethodType::HostKey, &self.host_key.algorithms()).map_err(last)?;
        session.set_tcp_stream(socket.try_clone().map_err(|error| Refusal::NotYet(error.to_string()))?);
        session.handshake().map_err(|error| match error.code() {
            ErrorCode::Session(KEX_FAILURE) => last(error),
            _ => not_yet(error),
        })?;
        match session.host_key() {
            Some((shown, _)) if self.host_key.matches(shown) => {}
            _ => {
                let detail = "the machine that answers there shows another host key, so it is not this node";
                return Err(Refusal::Final(detail.to_owned()));
            }
        }
        session.userauth_pubkey_memory(&self.target.user, None, &self.private_key, None).map_err(
            |error| match error.code() {
                ErrorCode::Session(AUTHENTICATION_FAILED | PUBLICKEY_UNVERIFIED) => Refusal::Final(format!(
                    "it refuses the key {} for user {}",
                    self.target.key.display(),
                    self.target.user
                )),
                ErrorCode::Session(FILE) => {
                    Refusal::Final(format!("the key {} cannot be used: {}", self.target.key.display(), error.message()))
                }
                _ => not_yet(error),
            },
        )?;
        Ok(Connection { session, socket })
    }
}

/// Connects and waits for the server to say something, which tells a server from a port forwarder
/// that has nothing behind it yet.
fn reach(address: SocketAddr, limit: Duration) -> Result<TcpStream, Refusal> {
    let refuse = |error: io::Error| Refusal::NotYet(error.to_string());
    let stream = TcpStream::connect_timeout(&address, limit).map_err(refuse)?;
    stream.set_nodelay(true).map_err(refuse)?;
    stream.set_read_timeout(Some(limit)).map_err(refuse)?;
    match stream.peek(&mut [0]) {
        Ok(0) => Err(Refusal::NotYet("the connection is closed before any greeting".to_owned())),
        Ok(_) => Ok(stream),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Err(Refusal::NotYet("the connection is accepted, but nothing answers".to_owned()))
        }
        Err(error) => Err(refuse(error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn not_yet(error: ssh2::Error) -> Refusal {
    Refusal::NotYet(error.message().to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn last(error: ssh2::Error) -> Refusal {
    Refusal::Final(error.message().to_owned())
}

/// An error that names the node.
pub(crate) fn connection_error(target: &SshTarget, detail: impl Into<String>) -> RunError {
    RunError::Connection { target: name(target), detail: detail.into() }
}

fn name(target: &SshTarget) -> String {
    format!("{}@{}", target.user, target.address)
}
