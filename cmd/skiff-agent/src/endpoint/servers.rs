//! The API servers to choose from.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// The servers a file lists, and which of them worked last.
pub(super) struct Servers {
    file: PathBuf,
    last: Mutex<Option<SocketAddr>>,
}

impl Servers {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, last: Mutex::default() }
    }

    /// All servers, the one that worked last first: one that is gone costs each connection a wait.
    pub(super) fn candidates(&self) -> Vec<SocketAddr> {
        let text = fs::read_to_string(&self.file).unwrap_or_else(|error| {
            tracing::warn!(file = %self.file.display(), %error, "cannot read the list of API servers");
            String::new()
        });
        let mut servers = parse(&text);
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = servers.iter().position(|server| Some(*server) == last) {
            servers.rotate_left(at);
        }
        servers
    }

    /// Remembers a server that took a connection.
    pub(super) fn works(&self, server: SocketAddr) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.replace(server) != Some(server) {
            tracing::info!(%server, "connections go to");
        }
    }
}

fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}
