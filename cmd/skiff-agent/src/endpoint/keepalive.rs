//! Connections to machines that may vanish without a word.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;

/// A connection that is silent for so long is asked whether it is still there.
const IDLE: Duration = Duration::from_secs(3);
/// The pause between such questions.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many unanswered questions end it.
const QUESTIONS: u32 = 3;
/// So does data that was not acknowledged for so long, in milliseconds.
const UNACKNOWLEDGED: u32 = 6_000;

/// Has the kernel end a connection some seconds after its other end has vanished. The kernel asks by
/// itself, so an idle process stays so.
pub(super) fn end_when_peer_is_gone(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, QUESTIONS)?;
    sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED)?;
    Ok(())
}
