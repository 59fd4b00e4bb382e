//! The use cases: start, stop, delete, status and the small ones around them.
//!
//! Nothing here knows a concrete driver or ssh: [`Host`] carries them in as generics, and tests
//! pass fakes. `start/` is split into one file a step, in the order a start goes through them.

mod host;
mod report;

pub use host::{Host, ImageSource};
pub use report::{
    ClusterStatus, ComponentState, DeleteReport, KubeconfigState, NodeReport, Outcome, ProfileReport, StartOptions,
    StartReport, StartRequest, StopReport, WaitFor,
};
