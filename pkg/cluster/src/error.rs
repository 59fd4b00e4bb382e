//! What can go wrong in a use case.

use std::{error::Error, fmt, io, path::PathBuf, time::Duration};

use skiff_addons::AddonError;
use skiff_bootstrap::BootstrapError;
use skiff_config::{ClusterName, NodeName, Problem};
use skiff_driver::DriverFailure;
use skiff_report::{Diagnose, ExitCode, Reason, chain};
use skiff_runner::RunError;
use skiff_store::StoreError;
use thiserror::Error;

use crate::{ServiceError, SnapshotError, UpgradeError};

/// An error of a part that is only known as a generic: a driver, an image source, an API client.
#[derive(Debug)]
pub struct Outside<E: ?Sized = dyn Diagnose>(Box<E>);

impl Outside {
    pub(crate) fn new(error: impl Diagnose) -> Self {
        Self(Box::new(error))
    }
}

impl Outside<dyn DriverFailure> {
    pub(crate) fn of_driver(error: impl DriverFailure) -> Self {
        Self(Box::new(error))
    }

    /// The port of this host that somebody else has, if that is what failed.
    pub(crate) fn taken_port(&self) -> Option<u16> {
        self.0.taken_port()
    }

    /// The node whose machine has to be made anew, if that is what failed.
    pub(crate) fn worn_out(&self) -> Option<&NodeName> {
        self.0.worn_out()
    }
}

impl<E: Diagnose + ?Sized> fmt::Display for Outside<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Diagnose + ?Sized> Error for Outside<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A failed use case.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// Settings that cannot be.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// No cluster of that name.
    #[error("there is no cluster `{0}`")]
    NotFound(ClusterName),
    /// The cluster is off.
    #[error("cluster `{0}` is not running")]
    NotRunning(ClusterName),
    /// The cluster is frozen.
    #[error("cluster `{0}` is paused")]
    Paused(ClusterName),
    /// What was to be exported could not be written.
    #[error("cannot write {}", path.display())]
    Export {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A cluster cannot be for a process that is not there.
    #[error("there is no process {0}")]
    NoOwner(u32),
    /// What is no name of a namespace.
    #[error("`{0}` cannot be a namespace: names have a-z, 0-9 and -, and at most 63 of them")]
    Namespace(String),
    /// The cluster has no such node.
    #[error("cluster `{cluster}` has no node `{node}`")]
    NoSuchNode {
        /// The cluster.
        cluster: ClusterName,
        /// The node asked for.
        node: String,
    },
    /// A node that a cluster cannot be without.
    #[error("node {node} is the only control plane of cluster `{cluster}` and cannot be deleted alone")]
    OnlyControlPlane {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
    },
    /// A node would have the name of another cluster.
    #[error("node {node} would have the name of another cluster, or of a node of one")]
    NodeNameTaken {
        /// The node.
        node: NodeName,
    },
    /// The cluster runs on another driver.
    #[error("cluster `{cluster}` runs on the driver {stored}, not {wanted}")]
    DriverMismatch {
        /// The cluster.
        cluster: ClusterName,
        /// Its driver.
        stored: String,
        /// The driver asked for.
        wanted: String,
    },
    /// An upgrade.
    #[error(transparent)]
    Upgrade(Box<UpgradeError>),
    /// The name would clash with a node of another cluster.
    #[error("`{name}` is the name of a node of cluster `{other}`")]
    NameTaken {
        /// The name.
        name: ClusterName,
        /// Whose node it is.
        other: ClusterName,
    },
    /// Machines of that name that no profile here belongs to.
    #[error("there are machines of a cluster `{0}` that this skiff home knows nothing of")]
    Orphaned(ClusterName),
    /// A network without a place for the node.
    #[error("{what} has no room for node {node}")]
    NoRoom {
        /// The network.
        what: String,
        /// The node.
        node: NodeName,
    },
    /// Every port that was tried is in use.
    #[error("no free port on {0}")]
    NoFreePort(std::net::IpAddr),
    /// The provider has less memory than a node needs.
    #[error("{setting} {wanted} is more than the driver has ({available})")]
    TooLarge {
        /// The flag.
        setting: &'static str,
        /// What was asked.
        wanted: String,
        /// What there is.
        available: String,
        /// Which resource it is about.
        exit: ExitCode,
    },
    /// Something of skiff's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The driver.
    #[error(transparent)]
    Driver(Outside<dyn DriverFailure>),
    /// The node image.
    #[error(transparent)]
    Image(Outside),
    /// A command on a node.
    #[error(transparent)]
    Run(#[from] RunError),
    /// kubeadm, certificates, configuration.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Addons.
    #[error(transparent)]
    Addon(Box<AddonError>),
    /// A cluster that started, and addons that it did not take.
    #[error("cluster `{cluster}` is ready, but not all of its addons are in it")]
    AddonsRefused {
        /// The cluster.
        cluster: ClusterName,
        /// What it did not take, and why.
        #[source]
        source: Box<AddonError>,
    },
    /// Addons cannot be changed while the cluster is frozen.
    #[error("the addons of cluster `{0}` cannot be changed while it is paused")]
    AddonPaused(ClusterName),
    /// Other addons stand on this one.
    #[error("addon {addon} is required by {}", by.join(" and "))]
    AddonNeeded {
        /// The addon.
        addon: String,
        /// Those that require it.
        by: Vec<String>,
    },
    /// A service of the cluster, or the tunnel to them.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// Snapshots.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// The Kubernetes API.
    #[error(transparent)]
    Api(Outside),
    /// The user's kubeconfig.
    #[error(transparent)]
    Kubeconfig(Outside),
    /// A machine ended while something on it was waited for.
    #[error("node {node} ended while it was waited for")]
    NodeEnded {
        /// The cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
    },
    /// The cluster did not become usable in time.
    #[error("{what} did not happen within {} s", timeout.as_secs())]
    NotUsable {
        /// What was waited for.
        what: String,
        /// How long.
        timeout: Duration,
        /// The last thing that stood in the way.
        #[source]
        source: Option<Outside>,
    },
    /// A failed start, and then its undo failed as well.
    #[error("{}; undoing it failed as well: {}", chain(first.as_ref()), chain(undo.as_ref()))]
    Undo {
        /// Why the start failed.
        first: Box<ClusterError>,
        /// Why the undo failed.
        undo: Box<ClusterError>,
    },
}

impl From<ServiceError> for ClusterError {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

impl From<SnapshotError> for ClusterError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(Box::new(error))
    }
}

impl From<AddonError> for ClusterError {
    fn from(error: AddonError) -> Self {
        Self::Addon(Box::new(error))
    }
}

impl Diagnose for ClusterError {
    fn reason(&self) -> Reason {
        match self {
            Self::Settings { problems } => Problem::reason(problems),
            Self::NotFound(name) => Reason::new(
                "GUEST_PROFILE_NOT_FOUND",
                ExitCode::GUEST_NOT_FOUND,
                format!("`skiff profile list` shows all clusters; `skiff start -p {name}` makes this one."),
            ),
            Self::NotRunning(name) => {
                let advice = format!("Start it with `skiff start -p {name}`.");
                Reason::new("GUEST_NOT_RUNNING", ExitCode::GUEST_NOT_RUNNING, advice)
            }
            Self::Paused(name) => Reason::new(
                "K8S_APISERVER_PAUSED",
                ExitCode::CONTROL_PLANE_NOT_RUNNING,
                format!("`skiff unpause -p {name}` lets it go on."),
            ),
            Self::Export { .. } => {
                Reason::new("HOST_FILE", ExitCode::HOST_ERROR, "Name another folder, or make room in this one.")
            }
            Self::NoOwner(_) => usage("In a shell, --owner-pid $$ names the shell."),
            Self::Namespace(_) => usage("`kubectl get namespaces` lists what there is."),
            Self::NoSuchNode { .. } => {
                Reason::new("GUEST_NODE_RETRIEVE", ExitCode::GUEST_NOT_FOUND, "`skiff status` lists the nodes.")
            }
            Self::OnlyControlPlane { cluster, .. } => Reason::new(
                "GUEST_NODE_DELETE",
                ExitCode::GUEST_ERROR,
                format!(
                    "Add another one first with `skiff node add --control-plane -p {cluster}`, or delete the cluster \
                     with `skiff delete -p {cluster}`."
                ),
            ),
            Self::DriverMismatch { cluster, .. } => Reason::new(
                "GUEST_DRIVER_MISMATCH",
                ExitCode::GUEST_CONFLICT,
                format!("Leave --driver out, take another name with -p, or `skiff delete -p {cluster}` first."),
            ),
            Self::Upgrade(error) => error.reason(),
            Self::NameTaken { .. } | Self::NodeNameTaken { .. } => usage("Choose another name with -p."),
            Self::Orphaned(name) => orphaned(name),
            Self::NoRoom { .. } => usage("Use a larger network: --subnet, --pod-network-cidr."),
            Self::NoFreePort(_) => {
                Reason::new("HOST_NO_FREE_PORT", ExitCode::NETWORK_CONFLICT, "Free some, or use --listen-address.")
            }
            Self::TooLarge { setting, exit, .. } => Reason::new(
                "RSRC_INSUFFICIENT_CONTAINER_RESOURCES",
                *exit,
                format!("Ask for less with {setting}, or give the driver more."),
            ),
            Self::Store(error) => error.reason(),
            Self::Driver(error) => error.0.reason(),
            Self::Image(error) | Self::Api(error) | Self::Kubeconfig(error) => error.0.reason(),
            Self::Service(error) => error.reason(),
            Self::Snapshot(error) => error.reason(),
            Self::Run(error) => error.reason(),
            Self::Addon(error) => error.reason(),
            Self::AddonsRefused { cluster, source } => addons_refused(cluster, source),
            Self::AddonPaused(name) => Reason::new(
                "MK_ADDON_ENABLE_PAUSED",
                ExitCode::PROGRAM_CONFLICT,
                format!("`skiff unpause -p {name}` lets the cluster go on."),
            ),
            Self::AddonNeeded { addon, by } => {
                let advice = format!("Disable all of them: `skiff addons disable {} {addon}`.", by.join(" "));
                Reason::new("MK_ADDON_REQUIRED", ExitCode::PROGRAM_CONFLICT, advice)
            }
            Self::Bootstrap(error) => error.reason(),
            Self::NodeEnded { cluster, .. } => node_ended(cluster),
            Self::NotUsable { .. } => Reason::new(
                "GUEST_START",
                ExitCode::GUEST_ERROR,
                "`skiff logs` shows what the cluster is busy with; --wait-timeout gives it more time.",
            ),
            Self::Undo { first, .. } => first.reason(),
        }
    }
}

fn orphaned(name: &ClusterName) -> Reason {
    let advice =
        format!("Use its SKIFF_HOME, or another name with -p; `skiff delete -p {name}` deletes it with its data.");
    Reason::new("GUEST_NAME_CONFLICT", ExitCode::GUEST_CONFLICT, advice)
}

fn addons_refused(cluster: &ClusterName, source: &AddonError) -> Reason {
    let reason = source.reason();
    let again = format!("`skiff addons enable -p {cluster}` or the next `skiff start -p {cluster}` tries again.");
    Reason::new(reason.id, reason.exit, format!("{} {again}", reason.advice).trim().to_owned())
}

fn node_ended(cluster: &ClusterName) -> Reason {
    Reason::new(
        "GUEST_NODE_ENDED",
        ExitCode::GUEST_NOT_RUNNING,
        format!("Somebody stopped it, or this host has too little memory; `skiff start -p {cluster}` starts it."),
    )
}

/// Something on the command line that cannot be.
fn usage(advice: &'static str) -> Reason {
    Reason::new("MK_USAGE", ExitCode::PROGRAM_USAGE, advice)
}
