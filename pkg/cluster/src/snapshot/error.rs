//! What can keep a snapshot from being taken or brought back.

use skiff_config::{ClusterName, NodeName};
use skiff_driver::{DriverKind, MachineState, SnapshotName};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

/// A snapshot that cannot be.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The driver has none.
    #[error("clusters of the driver {driver} have no snapshots")]
    Unsupported {
        /// The driver.
        driver: DriverKind,
    },
    /// The name is taken.
    #[error("cluster `{cluster}` has a snapshot `{name}` already")]
    Exists {
        /// The cluster.
        cluster: ClusterName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// There is no snapshot of that name.
    #[error("cluster `{cluster}` has no snapshot `{name}`")]
    NotFound {
        /// The cluster.
        cluster: ClusterName,
        /// The snapshot.
        name: SnapshotName,
        /// Those there are.
        others: Vec<String>,
    },
    /// The snapshot is of other nodes than the cluster has.
    #[error("snapshot `{name}` does not fit cluster `{cluster}`: {}", differences.join("; "))]
    OtherNodes {
        /// The cluster.
        cluster: ClusterName,
        /// The snapshot.
        name: SnapshotName,
        /// What is different, one phrase a node.
        differences: Vec<String>,
    },
    /// A machine would have to be made anew, and its snapshots would go with it.
    #[error("node {node} has to be made anew for the new settings, and its snapshots would be lost: {}", names.join(", "))]
    InTheWay {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// Names of its snapshots.
        names: Vec<String>,
    },
    /// A node is neither running nor at rest.
    #[error("node {node} of cluster `{cluster}` cannot be kept as it is: it is {state:?}")]
    NodeState {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
        /// What its machine does.
        state: MachineState,
    },
}

impl Diagnose for SnapshotError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unsupported { .. } => Reason::new(
                "DRV_NO_SNAPSHOTS",
                ExitCode::DRIVER_UNSUPPORTED,
                "`skiff drivers -o json` tells which drivers have snapshots (Capabilities.Snapshots).",
            ),
            Self::Exists { cluster, name } => Reason::new(
                "GUEST_SNAPSHOT_EXISTS",
                ExitCode::GUEST_CONFLICT,
                format!("Choose another name, or delete it: `skiff snapshot delete {name} -p {cluster}`."),
            ),
            Self::NotFound { cluster, others, .. } => {
                let advice = if others.is_empty() {
                    format!("It has none yet: `skiff snapshot save NAME -p {cluster}` takes one.")
                } else {
                    format!("It has: {}.", others.join(", "))
                };
                Reason::new("GUEST_SNAPSHOT_NOT_FOUND", ExitCode::GUEST_NOT_FOUND, advice)
            }
            Self::OtherNodes { cluster, .. } => Reason::new(
                "GUEST_SNAPSHOT_UNFIT",
                ExitCode::GUEST_CONFLICT,
                format!(
                    "Delete nodes that were added since with `skiff node delete NODE -p {cluster}`; a node that is gone \
                     cannot come back."
                ),
            ),
            Self::InTheWay { cluster, names, .. } => {
                let delete = |name: &String| format!("`skiff snapshot delete {name} -p {cluster}`");
                let commands: Vec<_> = names.iter().map(delete).collect();
                Reason::new(
                    "GUEST_SNAPSHOTS_IN_THE_WAY",
                    ExitCode::GUEST_CONFLICT,
                    format!("Leave the settings as they are, or first {}.", commands.join(", ")),
                )
            }
            Self::NodeState { cluster, .. } => Reason::new(
                "GUEST_SNAPSHOT_STATE",
                ExitCode::GUEST_CONFLICT,
                format!("`skiff start -p {cluster}` repairs it."),
            ),
        }
    }
}
