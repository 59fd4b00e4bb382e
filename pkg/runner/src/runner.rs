//! The two traits.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{Command, Output, RunError};

/// Runs commands on one machine. Calls may overlap.
pub trait Runner: Send + Sync {
    /// Runs a command to its end and returns what it printed, whatever its status.
    ///
    /// # Errors
    /// When the command cannot be started, the connection breaks or its time is over.
    fn output(&self, command: Command) -> impl Future<Output = Result<Output, RunError>> + Send;

    /// Like [`output`](Self::output), but a status other than 0 is an error too.
    ///
    /// # Errors
    /// As for `output`, and [`RunError::Status`].
    fn run(&self, command: Command) -> impl Future<Output = Result<Output, RunError>> + Send {
        async move {
            let line = command.to_shell();
            let output = self.output(command).await?;
            if output.status == 0 {
                Ok(output)
            } else {
                Err(RunError::Status { command: line, output: Box::new(output) })
            }
        }
    }
}

/// Where a node's sshd listens and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// Address and port as seen from this host.
    pub address: SocketAddr,
    /// User to log in as.
    pub user: String,
    /// File with the private key, OpenSSH format.
    pub key: PathBuf,
    /// The node's public host key as one OpenSSH line (`ssh-ed25519 AAAA…`): anything else that
    /// answers on that address is refused.
    pub host_key: String,
}

/// Makes runners.
pub trait Connect: Send + Sync {
    /// What it makes.
    type Runner: Runner;

    /// Connects to a machine, trying again until `patience` is over: a machine that was started a
    /// moment ago does not answer at once.
    ///
    /// # Errors
    /// [`RunError::Connection`] with the last failure.
    fn connect(
        &self,
        target: &SshTarget,
        patience: Duration,
    ) -> impl Future<Output = Result<Self::Runner, RunError>> + Send;
}
