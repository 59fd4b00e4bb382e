//! The Driver trait: machines that can become Kubernetes nodes.
//!
//! A driver stops just short of Kubernetes: it makes a machine from a node image, gives it a fixed
//! address and a few files, and tells where its sshd and API server answer. Everything after that
//! is the same for containers and virtual machines.

mod driver;
mod node;
mod state;

pub use driver::{Capabilities, Driver, DriverKind, ImageInfo, NodeImage, NodeImages};
pub use node::{NetworkRequest, NodeNetwork, NodeRole, NodeSpec, Published, Resources, SeedFile};
pub use state::{Endpoints, MachineState, NodeStatus};
