//! Why a command did not give a result, or gave a bad one.

use std::time::Duration;

use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::Output;

/// A failed command.
#[derive(Debug, Error)]
pub enum RunError {
    /// The program could not be started.
    #[error("cannot run `{program}`")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The machine could not be reached, or the connection broke.
    #[error("no connection to {target}: {detail}")]
    Connection {
        /// Address of the machine.
        target: String,
        /// What went wrong, in the transport's words.
        detail: String,
    },
    /// The machine answered and will never let this user in, or is another machine.
    #[error("{target} refuses the connection: {detail}")]
    Refused {
        /// Address of the machine.
        target: String,
        /// What was refused.
        detail: String,
    },
    /// The command ran longer than it may.
    #[error("`{command}` did not finish within {} s", timeout.as_secs())]
    Timeout {
        /// The command line.
        command: String,
        /// The time it had.
        timeout: Duration,
    },
    /// The command ended with a status other than 0.
    #[error("`{command}` failed with status {}{}", output.status, last_words(output))]
    Status {
        /// The command line.
        command: String,
        /// All it printed.
        output: Box<Output>,
    },
}

/// The last line a command wrote, to show with its failure.
fn last_words(output: &Output) -> String {
    let (stderr, stdout) = (output.stderr_text(), output.stdout_text());
    let line = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
    line(&stderr).or_else(|| line(&stdout)).map_or_else(String::new, |line| format!(": {line}"))
}

impl Diagnose for RunError {
    fn reason(&self) -> Reason {
        match self {
            Self::Spawn { program, .. } => Reason::new(
                "HOST_COMMAND_NOT_FOUND",
                ExitCode::HOST_NOT_FOUND,
                format!("Install `{program}`, or check that it is in PATH."),
            ),
            Self::Connection { .. } => Reason::new(
                "IF_SSH_CLIENT",
                ExitCode::NETWORK_ERROR,
                "Run `skiff status`; `skiff start` brings a stopped node back.",
            ),
            Self::Refused { .. } => Reason::new(
                "IF_SSH_AUTH",
                ExitCode::NETWORK_AUTH,
                "Its keys differ from those in the profile: `skiff delete`, then `skiff start`, makes both anew.",
            ),
            Self::Timeout { .. } => Reason::new(
                "GUEST_COMMAND_TIMEOUT",
                ExitCode::GUEST_TIMEOUT,
                "`skiff logs` shows what the node is busy with.",
            ),
            Self::Status { .. } => Reason::new(
                "GUEST_COMMAND",
                ExitCode::GUEST_ERROR,
                "`skiff logs` shows more of what happened on the node.",
            ),
        }
    }
}
