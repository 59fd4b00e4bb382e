//! What can go wrong with snapshots.

use skiff_config::NodeName;
use skiff_driver::{MachineState, SnapshotName};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

/// A snapshot that cannot be taken or restored.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The node runs, or never did.
    #[error("node {node} is {}, and only what is frozen or off can be kept", format!("{state:?}").to_lowercase())]
    NotAtRest {
        /// The node.
        node: NodeName,
        /// What it is doing.
        state: MachineState,
    },
    /// There is one of that name.
    #[error("node {node} has a snapshot {name} already")]
    Exists {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// There is none of that name.
    #[error("node {node} has no snapshot {name}")]
    Absent {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// The node was made from another image since, and could not read what it stored then.
    #[error("snapshot {name} is from before node {node} was made from another node image")]
    OtherImage {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// The copying container failed.
    #[error("what node {node} stored could not be copied: {detail}")]
    Copy {
        /// The node.
        node: NodeName,
        /// What it said last.
        detail: String,
    },
}

impl Diagnose for SnapshotError {
    fn reason(&self) -> Reason {
        let (id, exit, advice) = match self {
            Self::NotAtRest { .. } => ("GUEST_SNAPSHOT_STATE", ExitCode::GUEST_CONFLICT, "Pause or stop the cluster."),
            Self::Exists { .. } => ("GUEST_SNAPSHOT_EXISTS", ExitCode::GUEST_CONFLICT, "Take another name."),
            Self::Absent { .. } => {
                ("GUEST_SNAPSHOT_NOT_FOUND", ExitCode::GUEST_NOT_FOUND, "`skiff snapshot list` shows all.")
            }
            Self::OtherImage { .. } => (
                "GUEST_SNAPSHOT_MACHINE",
                ExitCode::GUEST_CONFLICT,
                "Snapshots outlive an upgrade of the cluster only with the version they were taken at.",
            ),
            Self::Copy { .. } => ("GUEST_SNAPSHOT", ExitCode::GUEST_ERROR, "Make room on Docker's disk and try again."),
        };
        Reason::new(id, exit, advice)
    }
}
