//! Commands on a machine: what a node is to everything above the driver.
//!
//! [`Runner`] runs a [`Command`] and returns its [`Output`]; [`Connect`] turns an address into a
//! runner. `skiff-ssh` implements both for nodes, [`LocalRunner`] runs on this host, and
//! [`FakeRunner`] answers from a script in tests.

mod command;
mod error;
mod fake;
mod local;
mod runner;

pub use command::{Command, Output, Stdin};
pub use error::RunError;
pub use fake::FakeRunner;
pub use local::LocalRunner;
pub use runner::{Connect, Runner, SshTarget};
