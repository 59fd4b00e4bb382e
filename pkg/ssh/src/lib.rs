//! Commands on nodes over ssh: [`SshConnector`] implements `Connect`, [`SshRunner`] `Runner`.
//!
//! libssh2 allows one thread at a time in a session *and its channels*, and the binding does not
//! hold that line when a channel is dropped elsewhere. So every session lives on a thread of its
//! own with all its channels, runs one command at a time, and nothing of it ever leaves that
//! thread. A runner keeps a few such threads, which is what lets calls overlap.

mod exec;
mod host_key;
mod job;
mod login;
mod pool;
mod runner;

pub use runner::{SshConnector, SshRunner};
