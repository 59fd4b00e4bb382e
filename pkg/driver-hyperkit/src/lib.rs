//! Nodes as virtual machines of hyperkit, the hypervisor of Intel Macs.
mod arguments;
mod error;
mod forward;
pub mod lease;
mod mac;
mod platform;
mod program;

pub use error::Error;
pub use mac::Mac;
pub use platform::Platform;
