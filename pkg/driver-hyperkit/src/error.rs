//! What can go wrong with hyperkit, and what the user can do about it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{MachineState, Purpose};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

/// What can go wrong with hyperkit.
#[derive(Debug, Error)]
pub enum Error {
    /// Not a Mac.
    #[error("hyperkit runs on macOS only, and this host runs {os}")]
    NotMacOs {
        /// What it runs.
        os: String,
    },
    /// A Mac with a processor of Apple's.
    #[error("hyperkit runs on Intel processors only, and this Mac has Apple silicon")]
    AppleSilicon,
    /// A Mac that may not run virtual machines, mostly because it is one.
    #[error("this Mac's processor offers no virtualisation, which hyperkit needs")]
    NoHypervisor,
    /// There is no hyperkit.
    #[error("hyperkit is not installed: looked for {}", paths(places))]
    NotInstalled {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// hyperkit runs without the rights that vmnet asks for.
    #[error(
        "{program} may not use the host's network: it belongs to user {owner} with mode {mode:o}, not to root with the setuid bit"
    )]
    NotSetuid {
        /// The program.
        program: PathBuf,
        /// Who it belongs to.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// The program cannot be run.
    #[error("{program} cannot be run")]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program answers like something else.
    #[error("{program} is not a hyperkit that works: it printed `{printed}`")]
    NotHyperkit {
        /// The program.
        program: PathBuf,
        /// The end of what it printed.
        printed: String,
    },
    /// The program does not answer.
    #[error("{program} did not answer within {seconds} s")]
    Unresponsive {
        /// The program.
        program: PathBuf,
        /// How long skiff waited.
        seconds: u64,
    },
    /// hyperkit could not be told of the path.
    #[error("hyperkit cannot use the path {path}: a comma ends a path there")]
    PathUnusable {
        /// The path.
        path: PathBuf,
    },
    /// Somebody has the subnet that was asked for.
    #[error("the subnet {subnet} is taken by {owner}")]
    SubnetTaken {
        /// The subnet.
        subnet: Ipv4Net,
        /// Who has it, for a person.
        owner: String,
    },
    /// Every subnet that skiff tries is taken.
    #[error("no free subnet was found")]
    NoFreeSubnet,
    /// Another cluster's node has the name.
    #[error("a machine named {node} exists and belongs to cluster {owner}")]
    NameTaken {
        /// Its name.
        node: NodeName,
        /// Whose it is.
        owner: ClusterName,
    },
    /// The node is there and has been started before.
    #[error("the node {node} exists already")]
    NodeExists {
        /// The node.
        node: NodeName,
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
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The process that forwards ports did not come up.
    #[error("the ports of {node} cannot be forwarded: {why}")]
    Forwarder {
        /// The node.
        node: NodeName,
        /// What it said.
        why: String,
    },
    /// hyperkit ended when it should have run.
    #[error("hyperkit ended while {node} was starting ({status}): {printed}")]
    Ended {
        /// The node.
        node: NodeName,
        /// How it ended.
        status: String,
        /// The end of what it or the guest printed.
        printed: String,
    },
    /// The machine runs and got no address.
    #[error("{node} got no address from macOS within {seconds} s")]
    NoLease {
        /// The node.
        node: NodeName,
        /// How long skiff waited.
        seconds: u64,
    },
    /// The machine did not end, not even when it was killed.
    #[error("the machine of {node} (process {pid}) does not end")]
    DoesNotEnd {
        /// The node.
        node: NodeName,
        /// Its process.
        pid: u32,
    },
    /// A file of the host could not be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What skiff wrote about a machine cannot be read any more.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

fn paths(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Wraps an error of the file system.
pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { path, source }
}

/// What to take instead of hyperkit.
const INSTEAD: &str = "Use --driver=docker (Docker Desktop), or --driver=qemu, whose machines run on Apple silicon \
                       and on Intel.";

impl Diagnose for Error {
    fn reason(&self) -> Reason {
        self.provider_reason().unwrap_or_else(|| self.node_reason())
    }
}

impl Error {
    /// Reasons that lie in hyperkit and its host.
    fn provider_reason(&self) -> Option<Reason> {
        let reason = match self {
            Self::NotMacOs { .. } => Reason::new(
                "DRV_UNSUPPORTED_OS",
                ExitCode::DRIVER_UNSUPPORTED,
                "Use --driver=docker, or --driver=qemu for virtual machines.",
            ),
            Self::AppleSilicon => Reason::new("DRV_UNSUPPORTED_OS", ExitCode::DRIVER_UNSUPPORTED, INSTEAD),
            Self::NoHypervisor => Reason::new(
                "PROVIDER_HYPERKIT_NO_VIRTUALISATION",
                ExitCode::DRIVER_UNSUPPORTED,
                "Use --driver=docker, or --driver=qemu, which emulates a processor if need be.",
            ),
            Self::NotInstalled { .. } => Reason::new(
                "PROVIDER_HYPERKIT_NOT_FOUND",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install it: `brew install hyperkit`, or set SKIFF_HYPERKIT to where it is.",
            ),
            Self::NotSetuid { program, .. } => {
                let program = program.display();
                Reason::new(
                    "PROVIDER_HYPERKIT_NOT_SETUID",
                    ExitCode::PROVIDER_PERMISSION,
                    format!(
                        "`sudo chown root:wheel {program} && sudo chmod u+s {program}`, as vmnet serves root only."
                    ),
                )
            }
            Self::Unusable { .. } | Self::NotHyperkit { .. } => Reason::new(
                "PROVIDER_HYPERKIT_BROKEN",
                ExitCode::PROVIDER_ERROR,
                "Install it again: `brew reinstall hyperkit`.",
            ),
            Self::Unresponsive { .. } => {
                Reason::new("PROVIDER_HYPERKIT_DEADLINE_EXCEEDED", ExitCode::PROVIDER_UNAVAILABLE, "Restart the Mac.")
            }
            Self::PathUnusable { .. } => Reason::new(
                "HOST_PATH_UNUSABLE",
                ExitCode::HOST_CONFIG,
                "Set SKIFF_HOME and SKIFF_CACHE to folders without a comma in their names.",
            ),
            _ => return None,
        };
        Some(reason)
    }

    /// Reasons that lie in what was asked for, or in what is there already.
    fn node_reason(&self) -> Reason {
        match self {
            Self::SubnetTaken { .. } => Reason::new(
                "IF_SUBNET_CONFLICT",
                ExitCode::NETWORK_CONFLICT,
                "Choose another --subnet, or leave it out to get a free one.",
            ),
            Self::NoFreeSubnet => {
                Reason::new("IF_DEDICATED_NETWORK", ExitCode::NETWORK_ERROR, "Delete a cluster, or choose a --subnet.")
            }
            Self::NameTaken { .. } => Reason::new(
                "GUEST_NAME_CONFLICT",
                ExitCode::GUEST_CONFLICT,
                "Choose another name for the cluster with -p, or delete the other one.",
            ),
            Self::NodeExists { .. } => Reason::new("GUEST_NODE_EXISTS", ExitCode::GUEST_CONFLICT, ""),
            Self::NodeAbsent { .. } => {
                Reason::new("GUEST_NODE_RETRIEVE", ExitCode::GUEST_NOT_FOUND, "`skiff start` makes it again.")
            }
            Self::NodeNotRunning { .. } => {
                Reason::new("GUEST_NODE_NOT_RUNNING", ExitCode::GUEST_NOT_RUNNING, "`skiff start` starts it.")
            }
            Self::PortTaken { .. } => Reason::new(
                "GUEST_PORT_IN_USE",
                ExitCode::GUEST_CONFLICT,
                "Stop the program that uses it, or choose another port.",
            ),
            Self::NoLease { .. } => Reason::new(
                "IF_DHCP_NO_LEASE",
                ExitCode::NETWORK_TIMEOUT,
                "A firewall often stops macOS' DHCP server; let it through: `sudo \
                 /usr/libexec/ApplicationFirewall/socketfilterfw --add /usr/libexec/bootpd && sudo \
                 /usr/libexec/ApplicationFirewall/socketfilterfw --unblock /usr/libexec/bootpd`.",
            ),
            Self::Ended { .. } => Reason::new(
                "GUEST_PROVISION",
                ExitCode::GUEST_ERROR,
                "`skiff logs` shows the machine's console; delete the cluster and start it again if its disk is damaged.",
            ),
            Self::File { .. } => Reason::new("HOST_FILE", ExitCode::HOST_ERROR, ""),
            Self::Damaged { path, .. } => Reason::new(
                "HOST_MACHINE_DAMAGED",
                ExitCode::HOST_CONFIG,
                format!("Delete the cluster, or remove {} if that fails too.", path.display()),
            ),
            _ => Reason::new("GUEST_PROVISION", ExitCode::GUEST_ERROR, "Delete the cluster and start it again."),
        }
    }
}
