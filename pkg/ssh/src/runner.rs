//! The traits of `skiff-runner`, over the pool.

use std::{io, sync::Arc, time::Duration};

use skiff_runner::{Command, Connect, Output, RunError, Runner, SshTarget};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{
    job::{Job, Ticket},
    login::{Login, connection_error},
    pool::Pool,
};

/// Bytes moved at once from a reader.
const CHUNK: usize = 256 * 1024;

/// Connects to nodes over ssh.
#[derive(Debug, Default, Clone, Copy)]
pub struct SshConnector;

impl Connect for SshConnector {
    type Runner = SshRunner;

    /// Tries again while the node does not answer properly yet. Another host key than the target's,
    /// and a refused key, are errors at once: waiting cannot mend them.
    async fn connect(&self, target: &SshTarget, patience: Duration) -> Result<SshRunner, RunError> {
        let pool = Pool::connect(Login::prepare(target)?, patience).await?;
        Ok(SshRunner { handle: Arc::new(Handle(pool)) })
    }
}

/// Runs commands on one node. Clones share its sessions.
///
/// The login shell on the node must be a POSIX shell. A command whose future is dropped or whose
/// time is over is ended on the node together with all it started.
#[derive(Debug, Clone)]
pub struct SshRunner {
    handle: Arc<Handle>,
}

/// Ends the threads with the last clone.
#[derive(Debug)]
struct Handle(Arc<Pool>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Runner for SshRunner {
    async fn output(&self, command: Command) -> Result<Output, RunError> {
        let ticket = self.submit(command, Job::new)?;
        ticket.result.await.unwrap_or_else(|_| Err(self.error("the session's thread ended")))
    }
}

impl SshRunner {
    /// The node this runs commands on.
    #[must_use]
    pub fn target(&self) -> &SshTarget {
        self.handle.0.login().target()
    }

    /// Like [`Runner::output`], with standard input read from `input` while the command runs, so that
    /// it may be larger than memory. The command's own `stdin` is not used. A command that ends
    /// without reading everything is no error.
    ///
    /// # Errors
    /// As for `output`, and when `input` cannot be read; the command is ended then.
    pub async fn stream<R>(&self, command: Command, input: R) -> Result<Output, RunError>
    where
        R: AsyncRead + Send + Unpin,
    {
        let Ticket { line, mut result } = self.submit(command, Job::streamed)?;
        let mut line = UnixStream::from_std(line).map_err(|error| self.error(&error.to_string()))?;
        let gone = |_| Err(self.error("the session's thread ended"));
        tokio::select! {
            // A result before the end of the input is a command that wants no more of it.
            early = &mut result => return early.unwrap_or_else(gone),
            fed = feed(input, &mut line) => {
                fed.map_err(|error| self.error(&format!("cannot read what shall be sent: {error}")))?;
            }
        }
        let outcome = result.await.unwrap_or_else(gone);
        // Closed no earlier: a closed line ends the command.
        drop(line);
        outcome
    }

    fn submit(
        &self,
        command: Command,
        make: impl FnOnce(Command) -> io::Result<(Job, Ticket)>,
    ) -> Result<Ticket, RunError> {
        if command.argv.is_empty() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "empty command line");
            return Err(RunError::Spawn { program: String::new(), source });
        }
        let (job, ticket) = make(command).map_err(|error| self.error(&error.to_string()))?;
        self.handle.0.submit(job)?;
        Ok(ticket)
    }

    fn error(&self, detail: &str) -> RunError {
        connection_error(self.target(), detail)
    }
}

/// Moves all of `input` into the line, then half-closes it. Only errors of `input` count: a line
/// that takes no more belongs to a command that is over, and its result tells how.
async fn feed(mut input: impl AsyncRead + Send + Unpin, line: &mut UnixStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = input.read(&mut buffer).await?;
        if length == 0 || line.write_all(&buffer[..length]).await.is_err() {
            let _ = line.shutdown().await;
            return Ok(());
        }
    }
}
