//! Nodes as Docker containers.
//!
//! The Engine is the only memory of this driver: containers, volumes, networks and images carry
//! labels, and everything is found again by them. What a container shall be is computed by
//! plain functions (`body`, `subnet`); the other modules talk to the Engine.

mod body;
mod check;
mod connect;
mod driver;
mod entrance;
mod errand;
mod error;
mod failure;
mod image;
mod labels;
mod leftover;
mod list;
mod logs;
mod making;
mod mtu;
mod network;
mod node;
mod port;
mod privilege;
mod seed;
mod snapshot;
mod subnet;

pub use driver::DockerDriver;
pub use error::{Error, Resource};
pub use snapshot::SnapshotError;
