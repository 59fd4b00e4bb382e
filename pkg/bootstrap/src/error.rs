//! What can go wrong in this crate.

use std::{error::Error, time::Duration};

use skiff_config::{KubeVersion, NodeName};
use skiff_report::{Diagnose, ExitCode, Reason};
use skiff_runner::RunError;

use crate::diagnose::Cause;

/// A failed step of the bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// An `--extra-config` setting that cannot be brought into the configuration.
    #[error("extra-config `{setting}`: {detail}")]
    ExtraConfig {
        /// The setting as given.
        setting: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A configuration document cannot be written as YAML.
    #[error("cannot write {document} as YAML")]
    Yaml {
        /// Kind of the document.
        document: String,
        /// The writer's answer.
        #[source]
        source: Box<serde_saphyr::ser::Error>,
    },
    /// The system gives no random bytes.
    #[error("no random bytes from the system")]
    Entropy,
    /// A certificate or key cannot be made.
    #[error("cannot make {what}")]
    Issue {
        /// Which one.
        what: String,
        /// The certificate library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// A stored certificate or key cannot be read.
    #[error("{what} is not readable: {detail}")]
    Unreadable {
        /// Which one.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// kubeadm failed, and this is why.
    #[error("{action} failed: {cause}")]
    Kubeadm {
        /// What it was to do, e.g. `kubeadm init`.
        action: String,
        /// Why it could not.
        cause: Cause,
        /// All it printed.
        printed: String,
    },
    /// The control plane of a node cannot start, and waiting does not help.
    #[error("node {node} cannot start Kubernetes: {cause}")]
    Hopeless {
        /// The node.
        node: NodeName,
        /// Why.
        cause: Cause,
    },
    /// The API server did not answer in time.
    #[error("the API server did not start within {} s: {cause}", timeout.as_secs())]
    Silent {
        /// Why, as its node tells.
        cause: Cause,
        /// How long it was waited for.
        timeout: Duration,
        /// Its last answer, or what came in place of one.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// etcd refused a change of its members.
    #[error("{action} failed: {detail}")]
    Etcd {
        /// What was asked of it.
        action: String,
        /// What it said.
        detail: String,
    },
    /// A node could not be taken out of the cluster.
    #[error("node {node} cannot leave the cluster yet: {detail}")]
    Drain {
        /// The node.
        node: NodeName,
        /// What stood in the way.
        detail: String,
    },
    /// Nodes have another version than they should after an upgrade.
    #[error("not all nodes run Kubernetes {wanted}: {found}")]
    Version {
        /// The version they should have.
        wanted: KubeVersion,
        /// The nodes that do not, each with its version.
        found: String,
    },
    /// The node could not be asked.
    #[error("{action} could not be run")]
    Node {
        /// What was to be done, e.g. `kubeadm init`.
        action: String,
        /// Why not.
        #[source]
        source: RunError,
    },
}

impl Diagnose for BootstrapError {
    fn reason(&self) -> Reason {
        match self {
            Self::ExtraConfig { .. } => Reason::new(
                "MK_USAGE",
                ExitCode::PROGRAM_USAGE,
                "Correct the --extra-config setting; `skiff start --help` shows how they are written.",
            ),
            Self::Yaml { .. } => Reason::new("K8S_CONFIG_RENDER", ExitCode::PROGRAM_ERROR, ""),
            Self::Entropy => Reason::new("HOST_NO_ENTROPY", ExitCode::HOST_ERROR, ""),
            Self::Issue { .. } => Reason::new(
                "GUEST_CERT",
                ExitCode::GUEST_ERROR,
                "Check --apiserver-names and --apiserver-ips: they go into the API server's certificate.",
            ),
            Self::Unreadable { .. } => Reason::new(
                "GUEST_CERT",
                ExitCode::GUEST_ERROR,
                "Restore the file from a backup, or make the cluster anew: `skiff delete`, then `skiff start`.",
            ),
            Self::Kubeadm { cause, .. } | Self::Hopeless { cause, .. } | Self::Silent { cause, .. } => cause.reason(),
            Self::Etcd { .. } => Reason::new(
                "GUEST_ETCD_MEMBER",
                ExitCode::GUEST_ERROR,
                "etcd changes its members only while most of them run: `skiff start` brings stopped nodes back.",
            ),
            Self::Drain { .. } => Reason::new(
                "GUEST_NODE_DELETE",
                ExitCode::GUEST_ERROR,
                "Make room for its pods elsewhere, give it more time, or use --force, which asks no disruption budget.",
            ),
            Self::Version { .. } => Reason::new(
                "K8S_UPGRADE_INCOMPLETE",
                ExitCode::CONTROL_PLANE_ERROR,
                "`skiff logs` shows what the nodes are busy with.",
            ),
            Self::Node { source, .. } => source.reason(),
        }
    }
}
