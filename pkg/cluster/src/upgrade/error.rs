//! What can go wrong with an upgrade, beside what can go wrong with any start.

use std::path::PathBuf;

use skiff_config::{ClusterName, FileError, KubeVersion, versions};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use super::NoUpgrade;
use crate::ClusterError;

/// A failed upgrade.
#[derive(Debug, Error)]
pub enum UpgradeError {
    /// There is no way from the cluster's version to the one that was asked for.
    #[error("the cluster cannot be upgraded: {0}")]
    NoWay(NoUpgrade),
    /// It failed; the cluster is what it was.
    #[error("the upgrade to Kubernetes {to} failed and is undone; the cluster runs {from} as before")]
    Undone {
        /// The version the cluster has.
        from: KubeVersion,
        /// The version it was to have.
        to: KubeVersion,
        /// Why it failed.
        #[source]
        first: Box<ClusterError>,
    },
    /// Nodes of the cluster have different versions for now.
    #[error("cluster `{cluster}` is in the middle of an upgrade to Kubernetes {to}")]
    HalfWay {
        /// The cluster.
        cluster: ClusterName,
        /// Where it leads.
        to: KubeVersion,
    },
    /// What is stored of it cannot be read or written.
    #[error("{} is not the record of an upgrade", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: FileError,
    },
}

impl From<UpgradeError> for ClusterError {
    fn from(error: UpgradeError) -> Self {
        Self::Upgrade(Box::new(error))
    }
}

impl From<NoUpgrade> for ClusterError {
    fn from(error: NoUpgrade) -> Self {
        UpgradeError::NoWay(error).into()
    }
}

impl Diagnose for UpgradeError {
    fn reason(&self) -> Reason {
        match self {
            Self::NoWay(why) => no_way(why),
            Self::Undone { first, .. } => {
                let Reason { exit, advice, .. } = first.reason();
                Reason::new("K8S_UPGRADE_UNDONE", exit, advice)
            }
            Self::HalfWay { cluster, .. } => Reason::new(
                "K8S_UPGRADE_UNFINISHED",
                ExitCode::CONTROL_PLANE_CONFLICT,
                format!("`skiff start -p {cluster}` finishes it; with the old --kubernetes-version it is undone."),
            ),
            Self::Record { path, .. } => Reason::new(
                "HOST_CONFIG_LOAD",
                ExitCode::HOST_CONFIG,
                format!("Restore {} from a backup, or delete the cluster.", path.display()),
            ),
        }
    }
}

fn no_way(why: &NoUpgrade) -> Reason {
    let (id, advice) = match why {
        NoUpgrade::Downgrade { from, to } => (
            "K8S_DOWNGRADE_UNSUPPORTED",
            format!(
                "Make the cluster anew (`skiff delete`, then `skiff start --kubernetes-version={to}`), make a second \
                 one beside it (`skiff start -p NAME --kubernetes-version={to}`), or keep {from}: leave \
                 --kubernetes-version out."
            ),
        ),
        NoUpgrade::TooNew(_) => {
            ("K8S_NEW_UNSUPPORTED", format!("The newest minor it knows is 1.{}.", versions::NEWEST_MINOR))
        }
        NoUpgrade::NoControlPlane => ("K8S_UPGRADE_UNSUPPORTED", String::new()),
        NoUpgrade::Skew { node, .. } => {
            ("K8S_UPGRADE_UNSUPPORTED", format!("`skiff node delete {node}` and `skiff node add` make it anew."))
        }
    };
    Reason::new(id, ExitCode::CONTROL_PLANE_UNSUPPORTED, advice)
}
