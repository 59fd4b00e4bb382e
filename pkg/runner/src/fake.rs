//! A runner that answers from a script.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::{Command, Output, RunError, Runner};

/// Records every command and answers with the first scripted reply whose pattern is part of the
/// command line; with success and no output where nothing matches.
#[derive(Debug, Default)]
pub struct FakeRunner {
    replies: Mutex<VecDeque<(String, Output)>>,
    seen: Mutex<Vec<Command>>,
}

impl FakeRunner {
    /// Adds a reply that is used once, for the next command that contains `pattern`.
    #[must_use]
    pub fn reply(self, pattern: &str, status: i32, stdout: &str, stderr: &str) -> Self {
        let output = Output { status, stdout: stdout.into(), stderr: stderr.into() };
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).push_back((pattern.to_owned(), output));
        self
    }

    /// The commands so far, oldest first.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Runner for FakeRunner {
    async fn output(&self, command: Command) -> Result<Output, RunError> {
        let line = command.to_shell();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let position = replies.iter().position(|(pattern, _)| line.contains(pattern.as_str()));
        Ok(position.and_then(|at| replies.remove(at)).map(|(_, output)| output).unwrap_or_default())
    }
}
