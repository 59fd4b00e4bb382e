//! The harness of the end-to-end tests: the real binary, real clusters, nothing left behind.
//!
//! A test makes a [`Sandbox`]: a skiff home, a kubeconfig and cluster names of its own, so that
//! tests run beside each other and beside the clusters of whoever runs them. When it goes out of
//! scope its clusters are deleted and whatever they left behind fails the test.

mod archive;
pub mod chaos;
mod checks;
mod command;
pub mod hyperkit;
mod leak;
mod port;
mod running;
mod sandbox;
mod side_by_side;
mod wait;

pub use archive::{busybox_archive, program_archive};
pub use checks::{Check, check_all};
pub use command::Finished;
pub use port::free_port;
pub use running::Running;
pub use sandbox::{Cluster, Sandbox, binary};
pub use side_by_side::{Test, run_side_by_side};
pub use wait::eventually;
