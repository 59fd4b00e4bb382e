//! The Driver trait: machines that can become Kubernetes nodes.
//!
//! A driver stops just short of Kubernetes: it makes a machine from a node image, gives it a fixed
//! address and a few files, and tells where its sshd and API server answer. Everything after that
//! is the same for containers and virtual machines.
//!
//! With the feature `testing`, `FakeDriver` keeps nodes in memory and `contract` holds the suite
//! that every driver passes, the fake included.

#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod driver;
#[cfg(any(test, feature = "testing"))]
mod fake;
mod node;
mod snapshot;
mod state;

pub use driver::{Capabilities, Driver, DriverFailure, DriverKind, ImageInfo, NodeImage, NodeImages};
#[cfg(any(test, feature = "testing"))]
pub use fake::{FakeDriver, FakeError};
pub use node::{
    Entrance, NetworkRequest, NetworkStatus, NodeNetwork, NodeRole, NodeSpec, Published, Purpose, Resources, SeedFile,
};
pub use snapshot::{InvalidSnapshotName, Snapshot, SnapshotKind, SnapshotName, Snapshots};
pub use state::{Endpoints, MachineState, NodeStatus};
