//! Nodes as virtual machines of hyperkit, the hypervisor of Intel Macs.
//!
//! hyperkit has no daemon: a machine is a process, and all that is known about it lies in files
//! (see `skiff-vm`). Kernel and initial RAM disk are loaded by hyperkit itself, the network is
//! macOS' vmnet, which asks for root's rights: so hyperkit has to be a setuid program.
//!
//! # Addresses
//! vmnet gives each machine a hardware address made from its UUID, and macOS' DHCP server gives it
//! a lease, which may move. Nothing in a cluster depends on it: a node has its address for life in a
//! subnet of the cluster's own, on the same wire, which only the cluster's machines know. The host
//! reaches a machine by its lease, and its published ports by a process of skiff's ([`attend()`])
//! that looks the lease up whenever somebody connects.
//!
//! Everything that depends on macOS can be put in its place by [`Options`], so that command lines,
//! lease parsing and the life of a machine are tested on any host.

mod arguments;
mod attend;
mod console;
mod driver;
mod error;
mod forward;
mod host;
pub mod lease;
mod mac;
mod node;
mod options;
mod platform;
mod process;
mod program;
mod start;

pub use attend::attend;
pub use driver::HyperkitDriver;
pub use error::Error;
pub use mac::Mac;
pub use options::{LEASES, Options};
pub use platform::Platform;
