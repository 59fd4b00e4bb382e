//! One command on one session, from opening its channel to its exit status.
//!
//! The session is non-blocking meanwhile, so that both output streams, the input, the time-out and
//! the caller's loss of interest are all served by the one thread.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use skiff_runner::{Command, Output};
use ssh2::{BlockDirections, Channel, ErrorCode, Stream};

use crate::{
    job::{Input, Job, Reply},
    login::Connection,
};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// First words of every command's output, followed by its process id: the session on the node is a
/// process group of that number, which is what has to be ended if the command must end early.
const MARK: &[u8] = b"skiff-pid:";
/// How long the farewell to a channel or a session may take.
const FAREWELL_MS: u32 = 2000;

const EAGAIN: i32 = -37;

/// Why a command gave no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The session broke before the command began, so it may be tried on another one.
    NotStarted(String),
    /// The session broke, and nobody knows how far the command got.
    Broken(String),
    /// Its time was over, or nobody wanted it any more.
    Ended {
        /// The session is still good.
        reusable: bool,
    },
}

/// Why waiting ended early.
#[derive(Debug)]
enum Halt {
    Over,
    Broken(String),
}

/// Runs one command.
pub(crate) fn run(connection: &Connection, job: &mut Job) -> Result<Output, Failure> {
    let Job { command, input, reply } = job;
    let wait = Wait { connection, reply, deadline: Instant::now() + command.timeout };
    let session = &connection.session;
    session.set_blocking(false);
    let mut channel = wait.until(input, || session.channel_session()).map_err(|halt| match halt {
        Halt::Over => Failure::Ended { reusable: false },
        Halt::Broken(detail) => Failure::NotStarted(detail),
    })?;
    let line = start_line(command);
    let started = wait.until(input, || channel.exec(&line));
    let mut running = Running::new(wait, channel);
    let finished = started.and_then(|()| running.pump(input)).and_then(|()| running.await_status(input));
    session.set_timeout(FAREWELL_MS);
    match finished {
        Ok(status) => {
            session.set_blocking(true);
            // The node has closed it already; a failure shows when the session is used again.
            let _ = running.channel.close();
            Ok(Output { status, stdout: running.stdout.bytes, stderr: running.stderr.bytes })
        }
        Err(Halt::Broken(detail)) => Err(Failure::Broken(detail)),
        Err(Halt::Over) => Err(Failure::Ended { reusable: running.end_early() }),
    }
}

/// Says good-bye.
pub(crate) fn disconnect(connection: &Connection) {
    connection.session.set_timeout(FAREWELL_MS);
    // The node notices the closed socket as well.
    let _ = connection.session.disconnect(None, "done", None);
}

/// The line for the login shell: tells the process id, then becomes the command.
fn start_line(command: &Command) -> String {
    format!("echo {}$$;exec {}", String::from_utf8_lossy(MARK), command.to_shell())
}

/// Waits on a session that would block.
struct Wait<'a> {
    connection: &'a Connection,
    reply: &'a Reply,
    deadline: Instant,
}

impl Wait<'_> {
    /// Repeats a step of libssh2 until it does not block any more.
    fn until<T>(&self, input: &Input, mut step: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Halt> {
        loop {
            match step() {
                Ok(value) => return Ok(value),
                Err(error) if error.code() == ErrorCode::Session(EAGAIN) => self.ready(input, false)?,
                Err(error) => return Err(Halt::Broken(error.message().to_owned())),
            }
        }
    }

    /// True when libssh2 holds a packet that is sent in part. Nothing but the call that produced it
    /// may be made until it is out.
    fn half_sent(&self) -> bool {
        matches!(self.connection.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Returns when something can go on.
    fn ready(&self, input: &Input, feeding: bool) -> Result<(), Halt> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !self.reply.wanted() {
            return Err(Halt::Over);
        }
        let socket = if self.half_sent() { PollFlags::OUT } else { PollFlags::IN };
        // A closed line is reported whatever is asked for.
        let line = if feeding && input.starved() { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&self.connection.socket, socket), PollFd::from_borrowed_fd(input.line(), line)];
        let timeout = Timespec::try_from(left.min(Duration::from_secs(3600))).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Halt::Broken(error.to_string())),
        }
        if fds[1].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            // The caller is gone, or going: its two ends close one after the other.
            return Err(Halt::Over);
        }
        Ok(())
    }
}

/// One of the command's output streams.
struct Captured {
    stream: Stream,
    bytes: Vec<u8>,
}

/// The kinds of traffic of a running command.
#[derive(Debug, Clone, Copy)]
enum Traffic {
    Stdin,
    Stdout,
    Stderr,
}

impl Traffic {
    const ALL: [Self; 3] = [Self::Stdin, Self::Stdout, Self::Stderr];
}

/// What a piece of traffic came to.
enum Moved {
    Some,
    Nothing,
    Blocked,
}

/// A started command.
struct Running<'a> {
    wait: Wait<'a>,
    channel: Channel,
    stdout: Captured,
    stderr: Captured,
    buffer: Vec<u8>,
    pid: Option<u32>,
    input_closed: bool,
}

impl<'a> Running<'a> {
    fn new(wait: Wait<'a>, channel: Channel) -> Self {
        let stdout = Captured { stream: channel.stream(0), bytes: Vec::new() };
        let stderr = Captured { stream: channel.stderr(), bytes: Vec::new() };
        Self { wait, channel, stdout, stderr, buffer: vec![0; CHUNK], pid: None, input_closed: false }
    }

    /// Moves bytes both ways until the command has closed its output.
    fn pump(&mut self, input: &mut Input) -> Result<(), Halt> {
        let mut stuck = None;
        while !self.channel.eof() {
            let kinds = stuck.as_ref().map_or(&Traffic::ALL[..], std::slice::from_ref);
            let (mut moved, mut next) = (false, None);
            for kind in kinds {
                match self.shift(*kind, input)? {
                    Moved::Some => moved = true,
                    Moved::Blocked if self.wait.half_sent() => {
                        next = Some(*kind);
                        break;
                    }
                    Moved::Nothing | Moved::Blocked => {}
                }
            }
            // The other kinds were not looked at while one was stuck.
            let unseen = stuck.is_some() && next.is_none();
            stuck = next;
            if stuck.is_some() || !(moved || unseen || self.has_news(input)) {
                self.wait.ready(input, !self.input_closed)?;
            }
        }
        Ok(())
    }

    /// True if libssh2 itself holds something that the last round did not deal with: reading one
    /// stream takes all packets off the socket, so waiting on the socket would miss the others.
    fn has_news(&self, input: &Input) -> bool {
        self.channel.eof()
            || self.channel.read_window().available > 0
            || (input.waiting() && self.channel.write_window().remaining > 0)
    }

    fn shift(&mut self, kind: Traffic, input: &mut Input) -> Result<Moved, Halt> {
        match kind {
            Traffic::Stdin => self.shift_input(input),
            Traffic::Stdout => {
                let moved = capture(&mut self.stdout, &mut self.buffer)?;
                if self.pid.is_none() {
                    self.pid = take_pid(&mut self.stdout.bytes);
                }
                Ok(moved)
            }
            Traffic::Stderr => capture(&mut self.stderr, &mut self.buffer),
        }
    }

    fn shift_input(&mut self, input: &mut Input) -> Result<Moved, Halt> {
        if self.input_closed {
            return Ok(Moved::Nothing);
        }
        let pending = input.pending();
        if pending.is_empty() {
            if !input.exhausted() {
                return Ok(Moved::Nothing);
            }
            return match self.channel.send_eof() {
                Ok(()) => {
                    self.input_closed = true;
                    Ok(Moved::Some)
                }
                Err(error) if error.code() == ErrorCode::Session(EAGAIN) => Ok(Moved::Blocked),
                Err(error) => Err(Halt::Broken(error.message().to_owned())),
            };
        }
        match self.channel.write(pending) {
            Ok(length) => {
                input.consume(length);
                Ok(Moved::Some)
            }
            Err(error) => blocked(&error),
        }
    }

    /// Waits for the command's end after the end of its output.
    fn await_status(&mut self, input: &Input) -> Result<i32, Halt> {
        self.wait.until(input, || self.channel.wait_close())?;
        let broken = |error: ssh2::Error| Halt::Broken(error.message().to_owned());
        match self.channel.exit_signal().map_err(broken)?.exit_signal {
            Some(name) => Ok(128 + signal_number(&name)),
            None => self.channel.exit_status().map_err(broken),
        }
    }

    /// Ends the command on the node; true if the session is as good as before.
    fn end_early(&mut self) -> bool {
        let Some(pid) = self.pid.filter(|_| !self.wait.half_sent()) else {
            // The node ends the command's input and output when the connection is gone.
            return false;
        };
        let session = &self.wait.connection.session;
        session.set_blocking(true);
        let kill =
            format!("kill -s TERM -- -{pid}; (sleep 2; kill -s KILL -- -{pid}) </dev/null >/dev/null 2>&1 & exit 0");
        let ended = || -> Result<(), ssh2::Error> {
            let mut channel = session.channel_session()?;
            channel.exec(&kill)?;
            channel.send_eof()?;
            channel.wait_eof()?;
            channel.close()
        };
        ended().is_ok() && self.channel.close().is_ok()
    }
}

fn capture(into: &mut Captured, buffer: &mut [u8]) -> Result<Moved, Halt> {
    match into.stream.read(buffer) {
        Ok(0) => Ok(Moved::Nothing),
        Ok(length) => {
            into.bytes.extend_from_slice(&buffer[..length]);
            Ok(Moved::Some)
        }
        Err(error) => blocked(&error),
    }
}

fn blocked(error: &io::Error) -> Result<Moved, Halt> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Moved::Blocked),
        _ => Err(Halt::Broken(error.to_string())),
    }
}

/// Takes the line with the process id off the front of the output, once it is all there.
fn take_pid(output: &mut Vec<u8>) -> Option<u32> {
    let line = output.iter().take(MARK.len() + 12).position(|byte| *byte == b'\n')?;
    let pid = std::str::from_utf8(output[..line].strip_prefix(MARK)?).ok()?.parse().ok()?;
    output.drain(..=line);
    Some(pid)
}

/// The number of a signal the server names, as POSIX has it.
fn signal_number(name: &str) -> i32 {
    const NAMES: [(&str, i32); 14] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_id_is_taken_off_the_output() {
        let mut output = b"skiff-pid:4711\nskiff-pid:1\n".to_vec();
        assert_eq!(take_pid(&mut output), Some(4711));
        assert_eq!(output, b"skiff-pid:1\n");
        for other in [&b"skiff-pid:47"[..], b"", b"hello\n", b"skiff-pid:x\n"] {
            let mut output = other.to_vec();
            assert_eq!(take_pid(&mut output), None);
            assert_eq!(output, other);
        }
    }

    #[test]
    fn a_command_line_keeps_its_arguments() {
        let line = start_line(&Command::new(["printf", "%s", "it's"]));
        assert_eq!(line, r"echo skiff-pid:$$;exec printf %s 'it'\''s'");
    }
}
