//! A command on its way to a session's thread, and the line back.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use skiff_runner::{Command, Output, RunError, Stdin};
use tokio::sync::oneshot;

/// Bytes taken at once from a streamed input.
const CHUNK: usize = 256 * 1024;

/// A command to be run.
#[derive(Debug)]
pub(crate) struct Job {
    /// The command; what it reads is in `input`.
    pub(crate) command: Command,
    /// What it reads.
    pub(crate) input: Input,
    /// Where its result goes.
    pub(crate) reply: Reply,
}

/// Where a result goes.
#[derive(Debug)]
pub(crate) struct Reply(oneshot::Sender<Result<Output, RunError>>);

impl Reply {
    /// True while the caller waits for the result.
    pub(crate) fn wanted(&self) -> bool {
        !self.0.is_closed()
    }

    /// Gives the caller its result.
    pub(crate) fn send(self, result: Result<Output, RunError>) {
        // A caller that is gone wants no result.
        let _ = self.0.send(result);
    }
}

/// The caller's side of a [`Job`].
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Takes the streamed input; dropping it ends the command.
    pub(crate) line: UnixStream,
    /// Gives the result.
    pub(crate) result: oneshot::Receiver<Result<Output, RunError>>,
}

impl Job {
    /// A command whose input is in memory.
    pub(crate) fn new(mut command: Command) -> io::Result<(Self, Ticket)> {
        let bytes = match std::mem::take(&mut command.stdin) {
            Stdin::Empty => Vec::new(),
            Stdin::Bytes(bytes) => bytes,
        };
        Self::with_input(command, bytes, false)
    }

    /// A command whose input is what the ticket's line gets.
    pub(crate) fn streamed(command: Command) -> io::Result<(Self, Ticket)> {
        Self::with_input(command, Vec::new(), true)
    }

    fn with_input(command: Command, buffer: Vec<u8>, more: bool) -> io::Result<(Self, Ticket)> {
        let (line, theirs) = UnixStream::pair()?;
        line.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let (reply, result) = oneshot::channel();
        let input = Input { buffer, at: 0, more, line };
        Ok((Self { command, input, reply: Reply(reply) }, Ticket { line: theirs, result }))
    }
}

/// Input on its way into a command.
#[derive(Debug)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    at: usize,
    /// More bytes may arrive over the line.
    more: bool,
    /// The caller holds the other end for as long as it wants the result: when that end is closed,
    /// the command has to end. A streamed input comes over it, too.
    line: UnixStream,
}

impl Input {
    /// What has to be written next; refilled from the line when all before it is consumed.
    pub(crate) fn pending(&mut self) -> &[u8] {
        if self.at == self.buffer.len() && self.more {
            self.refill();
        }
        &self.buffer[self.at..]
    }

    fn refill(&mut self) {
        self.buffer.resize(CHUNK, 0);
        self.at = 0;
        let length = match self.line.read(&mut self.buffer) {
            Ok(length) => {
                self.more = length > 0;
                length
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.more = false;
                0
            }
        };
        self.buffer.truncate(length);
    }

    /// Notes that so many pending bytes are written.
    pub(crate) fn consume(&mut self, length: usize) {
        self.at += length;
    }

    /// True when all there will ever be is consumed.
    pub(crate) fn exhausted(&self) -> bool {
        !self.more && self.at == self.buffer.len()
    }

    /// True when bytes wait to be written.
    pub(crate) fn waiting(&self) -> bool {
        self.at < self.buffer.len()
    }

    /// True when only the line can bring more.
    pub(crate) fn starved(&self) -> bool {
        self.more && self.at == self.buffer.len()
    }

    /// The line, to wait on.
    pub(crate) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
