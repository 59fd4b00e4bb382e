//! What can go wrong with virtual machines of any driver, and what the user can do about it.

use std::{io, net::SocketAddr, path::PathBuf};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{DriverFailure, MachineState, Purpose, SnapshotName};
use skiff_report::{Diagnose, ExitCode, Reason};
use skiff_runner::RunError;
use thiserror::Error;

/// What can go wrong with virtual machines.
#[derive(Debug, Error)]
pub enum VmError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file of skiff's cannot be read.
    #[error("{} is damaged", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A program is missing on the host.
    #[error("`{program}` is not installed")]
    ToolMissing {
        /// The program.
        program: String,
        /// The package that has it on Debian.
        package: &'static str,
    },
    /// A program failed.
    #[error("{doing} failed")]
    Tool {
        /// What was going on.
        doing: String,
        /// The program's words.
        #[source]
        source: RunError,
    },
    /// The disk is too full to begin.
    #[error("{} needs {needed} MiB free, and has {free} MiB", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// MiB that are needed.
        needed: u64,
        /// MiB that are free.
        free: u64,
    },
    /// Kernel and initial RAM disk are not where they should be.
    #[error("there is no kernel for virtual machines at {}", path.display())]
    KitMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The node is there and has been started before.
    #[error("the node {node} exists already")]
    NodeExists {
        /// The node.
        node: NodeName,
    },
    /// The name is a node of another cluster.
    #[error("a machine named {node} exists and belongs to the cluster {owner}")]
    NameTaken {
        /// The node.
        node: NodeName,
        /// Whose it is.
        owner: ClusterName,
    },
    /// There is no such node.
    #[error("there is no machine of the node {node}")]
    NodeAbsent {
        /// The node.
        node: NodeName,
    },
    /// The node does not run.
    #[error("the node {node} is not running: it is {state:?}")]
    NodeNotRunning {
        /// The node.
        node: NodeName,
        /// What it does instead.
        state: MachineState,
    },
    /// The machine did not end.
    #[error("the machine of {node} (process {pid}) does not end")]
    NotEnding {
        /// The node.
        node: NodeName,
        /// Its process.
        pid: u32,
    },
    /// The node does not publish what it has to.
    #[error("the node {node} publishes no port for {purpose:?}")]
    PortUnpublished {
        /// The node.
        node: NodeName,
        /// What the port is for.
        purpose: Purpose,
    },
    /// Somebody listens on a port that the node publishes.
    #[error("a port that {node} publishes is in use: {address}")]
    PortTaken {
        /// The node.
        node: NodeName,
        /// The port.
        address: SocketAddr,
    },
    /// Another cluster has the subnet that was asked for.
    #[error("the subnet {subnet} is taken by the cluster {owner}")]
    SubnetTaken {
        /// The subnet.
        subnet: Ipv4Net,
        /// Who has it.
        owner: ClusterName,
    },
    /// The subnet is one that every machine uses inside.
    #[error("the subnet {subnet} cannot be used: machines reach the host through {inner}")]
    SubnetInner {
        /// The subnet asked for.
        subnet: Ipv4Net,
        /// The one inside.
        inner: Ipv4Net,
    },
    /// Every subnet that skiff tries is taken.
    #[error("no free subnet was found")]
    NoFreeSubnet,
    /// No node image with that key.
    #[error("there is no disk of the node image {key}")]
    ImageMissing {
        /// Key of the image.
        key: String,
    },
    /// Nodes were made from the image.
    #[error("the node image {key} is used by {}", users.join(", "))]
    ImageInUse {
        /// Key of the image.
        key: String,
        /// Names of the nodes.
        users: Vec<String>,
    },
    /// The image's disk is not what it was when it was made.
    #[error("the disk of the node image {key} has changed since it was made")]
    ImageDamaged {
        /// Key of the image.
        key: String,
    },
    /// What a node stored cannot be read any more.
    #[error("the data disk of {node} is damaged: {detail}")]
    DataDamaged {
        /// The node.
        node: NodeName,
        /// What is wrong with it.
        detail: String,
    },
    /// The node has such a snapshot.
    #[error("the node {node} has a snapshot {name} already")]
    SnapshotExists {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// The node has no such snapshot.
    #[error("the node {node} has no snapshot {name}")]
    SnapshotAbsent {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
    },
    /// Only a node at rest can be saved.
    #[error("the node {node} can be saved when it is frozen or off: it is {state:?}")]
    SnapshotState {
        /// The node.
        node: NodeName,
        /// What it does.
        state: MachineState,
    },
    /// The node is another machine than it was.
    #[error("the snapshot {name} does not fit the machine of {node}: {}", differences.join("; "))]
    SnapshotUnfit {
        /// The node.
        node: NodeName,
        /// The snapshot.
        name: SnapshotName,
        /// What is different.
        differences: Vec<String>,
    },
    /// The machine cannot be made anew without losing its snapshots.
    #[error("the machine of {node} has to be made anew, and has snapshots that would be lost: {}", names.join(", "))]
    SnapshotsInTheWay {
        /// The node.
        node: NodeName,
        /// Their names.
        names: Vec<String>,
    },
    /// The root disk of a node cannot be read any more.
    #[error("the root disk of {node} is damaged: {detail}")]
    RootDamaged {
        /// The node.
        node: NodeName,
        /// What is wrong with it.
        detail: String,
    },
}

impl VmError {
    /// Turns the system's answer into an error of this crate.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

impl DriverFailure for VmError {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::PortTaken { address, .. } => Some(address.port()),
            _ => None,
        }
    }
}

impl Diagnose for VmError {
    fn reason(&self) -> Reason {
        self.host_reason().unwrap_or_else(|| self.node_reason())
    }
}

impl VmError {
    /// Reasons that lie in the host.
    fn host_reason(&self) -> Option<Reason> {
        let full = "Free some disk space, or choose another disk with SKIFF_HOME, then run the command again.";
        Some(match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Reason::new(
                "HOST_HOME_PERMISSION",
                ExitCode::HOST_PERMISSION,
                "Check who owns skiff's home folder, or choose another with SKIFF_HOME.",
            ),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Reason::new("RSRC_VM_STORAGE", ExitCode::INSUFFICIENT_STORAGE, full)
            }
            Self::File { .. } => Reason::new("HOST_HOME_IO", ExitCode::HOST_ERROR, ""),
            Self::Record { .. } => Reason::new(
                "HOST_VM_RECORD",
                ExitCode::PROGRAM_CONFIG,
                "Delete the cluster with `skiff delete`, or put the file back.",
            ),
            Self::ToolMissing { program, package } => Reason::new(
                "HOST_COMMAND_NOT_FOUND",
                ExitCode::HOST_NOT_FOUND,
                format!("Install the package `{package}`, which has `{program}`."),
            ),
            Self::Tool { source: RunError::Status { output, .. }, .. }
                if output.stderr_text().contains("No space left") =>
            {
                Reason::new("RSRC_VM_STORAGE", ExitCode::INSUFFICIENT_STORAGE, full)
            }
            Self::Tool { .. } => Reason::new("HOST_VM_TOOL", ExitCode::HOST_ERROR, ""),
            Self::NoSpace { .. } => Reason::new("RSRC_VM_STORAGE", ExitCode::INSUFFICIENT_STORAGE, full),
            Self::KitMissing { .. } => {
                Reason::new("HOST_VM_KERNEL", ExitCode::HOST_NOT_FOUND, "Run `skiff start` again: it is fetched anew.")
            }
            _ => return None,
        })
    }

    /// Reasons that lie in what was asked for, or in what is there already.
    fn node_reason(&self) -> Reason {
        let (id, exit, advice) = match self {
            Self::NodeExists { .. } | Self::NameTaken { .. } => {
                ("GUEST_NAME_CONFLICT", ExitCode::GUEST_CONFLICT, "Choose another name, or delete the other cluster.")
            }
            Self::NodeAbsent { .. } => ("GUEST_NODE_RETRIEVE", ExitCode::GUEST_NOT_FOUND, ""),
            Self::NodeNotRunning { .. } => {
                ("GUEST_NODE_NOT_RUNNING", ExitCode::GUEST_NOT_RUNNING, "Start it with `skiff start`.")
            }
            Self::NotEnding { .. } => (
                "GUEST_STOP_TIMEOUT",
                ExitCode::GUEST_TIMEOUT,
                "A process that cannot be killed waits for a disk: look at the host's own log.",
            ),
            Self::PortUnpublished { .. } => ("GUEST_PORT_UNPUBLISHED", ExitCode::GUEST_CONFLICT, ""),
            Self::PortTaken { .. } => (
                "GUEST_PORT_IN_USE",
                ExitCode::GUEST_CONFLICT,
                "End the program that listens there, then run the command again.",
            ),
            Self::SubnetTaken { .. } | Self::SubnetInner { .. } => {
                ("IF_SUBNET_CONFLICT", ExitCode::NETWORK_CONFLICT, "Choose another subnet with --subnet.")
            }
            Self::ImageMissing { .. } => {
                ("GUEST_IMAGE_MISSING", ExitCode::GUEST_NOT_FOUND, "`skiff start` makes it again.")
            }
            Self::ImageInUse { .. } => ("GUEST_IMAGE_IN_USE", ExitCode::GUEST_CONFLICT, "Delete the clusters first."),
            Self::ImageDamaged { .. } => {
                ("GUEST_IMAGE_DAMAGED", ExitCode::GUEST_ERROR, "Run `skiff start`: the disk is made anew.")
            }
            Self::RootDamaged { .. } => (
                "GUEST_DISK_DAMAGED",
                ExitCode::GUEST_ERROR,
                "Run `skiff start` again: the machine is made anew with its data.",
            ),
            Self::DataDamaged { .. } => (
                "GUEST_DISK_DAMAGED",
                ExitCode::GUEST_ERROR,
                "Restore a copy of the disk, or delete the cluster with `skiff delete`.",
            ),
            Self::SnapshotExists { .. } => (
                "GUEST_SNAPSHOT_EXISTS",
                ExitCode::GUEST_CONFLICT,
                "Choose another name, or delete it with `skiff snapshot delete`.",
            ),
            Self::SnapshotAbsent { .. } => {
                ("GUEST_SNAPSHOT_NOT_FOUND", ExitCode::GUEST_NOT_FOUND, "`skiff snapshot list` shows those there are.")
            }
            Self::SnapshotState { .. } => (
                "GUEST_SNAPSHOT_STATE",
                ExitCode::GUEST_CONFLICT,
                "Run `skiff start` first: it repairs what is not as it should be.",
            ),
            Self::SnapshotUnfit { .. } => (
                "GUEST_SNAPSHOT_UNFIT",
                ExitCode::GUEST_CONFLICT,
                "A memory fits only the machine it was in. Bring back what is different, or delete the snapshot.",
            ),
            Self::SnapshotsInTheWay { .. } => (
                "GUEST_SNAPSHOTS_IN_THE_WAY",
                ExitCode::GUEST_CONFLICT,
                "Leave its settings as they are, or delete the snapshots with `skiff snapshot delete` first.",
            ),
            _ => ("IF_NO_SUBNET", ExitCode::NETWORK_ERROR, "Name a subnet with --subnet."),
        };
        Reason::new(id, exit, advice)
    }
}
