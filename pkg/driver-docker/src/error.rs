//! What can go wrong with Docker, and what the user can do about it.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use bollard::errors::Error as EngineError;
use ipnet::Ipv4Net;
use skiff_config::NodeName;
use skiff_driver::{DriverFailure, MachineState, Purpose};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::{SnapshotError, port};

/// Things of the Engine that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A container.
    Container,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Volume => "volume",
            Self::Network => "network",
        })
    }
}

/// What can go wrong with Docker.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is of a kind this build cannot speak to.
    #[error("the docker host `{host}` cannot be used: only unix:// and plain tcp:// addresses can")]
    UnsupportedHost {
        /// The address.
        host: String,
    },
    /// There is neither a socket nor a Docker on this host.
    #[error("docker is not installed: there is no socket at {socket}")]
    NotInstalled {
        /// Where the socket should be.
        socket: PathBuf,
    },
    /// Docker is installed, but nobody answers.
    #[error("docker is not running at {host}")]
    NotRunning {
        /// Where it should answer.
        host: String,
        /// What the attempt to connect ended with.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Docker answered before and does not any more.
    #[error("docker went away while {doing}")]
    Gone {
        /// What was being done.
        doing: String,
        /// What the attempt to connect ended with.
        #[source]
        source: io::Error,
    },
    /// This user may not talk to Docker.
    #[error("this user may not use the docker socket {socket}")]
    PermissionDenied {
        /// The socket.
        socket: PathBuf,
        /// What the attempt to connect ended with.
        #[source]
        source: io::Error,
    },
    /// Docker took the request and did not answer.
    #[error("docker did not answer within {seconds} s")]
    Unresponsive {
        /// How long skiff waited.
        seconds: u64,
    },
    /// The Engine is older than what nodes need.
    #[error("docker speaks API version {found}, nodes need {needed}")]
    TooOld {
        /// The Engine's newest API version.
        found: String,
        /// The oldest that has all that is needed.
        needed: &'static str,
    },
    /// The Engine runs Windows containers.
    #[error("docker runs {os} containers, nodes are Linux containers")]
    NotLinux {
        /// The Engine's kind of containers.
        os: String,
    },
    /// The Engine runs without root.
    #[error("docker runs rootless, nodes need an Engine that runs as root")]
    Rootless,
    /// Neither a privileged container nor one with every capability of the host could be started.
    #[error("docker may not start a container with the rights that a node needs")]
    NotPrivileged {
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
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
    #[error("no free subnet was found: {}", tried.join(", "))]
    NoFreeSubnet {
        /// Each subnet with who has it.
        tried: Vec<String>,
    },
    /// The cluster's network is not as skiff makes networks.
    #[error("the docker network {name} has no IPv4 subnet")]
    NetworkUnusable {
        /// Its name.
        name: String,
    },
    /// Something that is not ours, or another cluster's, has the name.
    #[error("a docker {resource} named {name} exists and belongs to {owner}")]
    NameTaken {
        /// What kind of thing it is.
        resource: Resource,
        /// Its name.
        name: String,
        /// Whose it is, for a person.
        owner: String,
    },
    /// The node is there and has been started before.
    #[error("the node {node} exists already")]
    NodeExists {
        /// The node.
        node: NodeName,
    },
    /// There is no such node.
    #[error("there is no container of the node {node}")]
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
    #[error("{}", port::taken(node, *address, *purpose, holder.as_deref()))]
    PortTaken {
        /// The node.
        node: NodeName,
        /// The port, where the Engine tells which one.
        address: Option<SocketAddr>,
        /// What the port is for.
        purpose: Purpose,
        /// The container that has it, if one does.
        holder: Option<String>,
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// Another container has the node's address.
    #[error("the address {address} of {node} is taken by another container of its network")]
    AddressTaken {
        /// The node.
        node: NodeName,
        /// Its address.
        address: Ipv4Addr,
    },
    /// Something of an earlier start of the container is in the way, which could not be ended.
    #[error("docker does not start the container of {node} any more")]
    Leftover {
        /// The node.
        node: NodeName,
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// The node's network is gone.
    #[error("the network of {node} is gone")]
    NetworkGone {
        /// The node.
        node: NodeName,
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// No node image with that key.
    #[error("docker has no node image {key}")]
    ImageMissing {
        /// Key of the image.
        key: String,
    },
    /// Containers were made from the image.
    #[error("the node image {key} is used by {}", users.join(", "))]
    ImageInUse {
        /// Key of the image.
        key: String,
        /// Names of the containers.
        users: Vec<String>,
    },
    /// The disk that Docker keeps its data on is full.
    #[error("docker has no space left on its disk while {doing}")]
    StorageFull {
        /// What was being done.
        doing: String,
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// More processors were asked for than there are.
    #[error("docker cannot give a node that many processors")]
    TooFewCores {
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
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
    /// Anything else that the Engine refuses.
    #[error("docker failed while {doing}")]
    Engine {
        /// What was being done.
        doing: String,
        /// What the Engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl DriverFailure for Error {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::PortTaken { address, .. } => address.map(|address| address.port()),
            _ => None,
        }
    }

    fn worn_out(&self) -> Option<&NodeName> {
        match self {
            Self::Leftover { node, .. } | Self::NetworkGone { node, .. } => Some(node),
            _ => None,
        }
    }
}

impl Diagnose for Error {
    fn reason(&self) -> Reason {
        match self {
            Self::Snapshot(error) => error.reason(),
            _ => self.provider_reason().unwrap_or_else(|| self.node_reason()),
        }
    }
}

impl Error {
    /// Reasons that lie in Docker itself.
    fn provider_reason(&self) -> Option<Reason> {
        let (id, exit, advice) = match self {
            Self::UnsupportedHost { .. } => (
                "PROVIDER_DOCKER_HOST_UNSUPPORTED",
                ExitCode::PROVIDER_UNSUPPORTED,
                "Let DOCKER_HOST name a unix:// socket, or unset it to use this host's own Docker.",
            ),
            Self::NotInstalled { .. } => (
                "PROVIDER_DOCKER_NOT_FOUND",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install Docker: `apt-get install docker.io` on Debian and Ubuntu, Docker Desktop on a Mac.",
            ),
            Self::NotRunning { .. } | Self::Gone { .. } => (
                "PROVIDER_DOCKER_NOT_RUNNING",
                ExitCode::PROVIDER_NOT_RUNNING,
                "Start Docker: `sudo systemctl start docker`, or `sudo dockerd` where there is no systemd.",
            ),
            Self::PermissionDenied { .. } => (
                "PROVIDER_DOCKER_NEWGRP",
                ExitCode::PROVIDER_PERMISSION,
                "Join the socket's group with `sudo usermod -aG docker $USER` and log in again.",
            ),
            Self::Unresponsive { .. } => (
                "PROVIDER_DOCKER_DEADLINE_EXCEEDED",
                ExitCode::PROVIDER_UNAVAILABLE,
                "Look at Docker's own log, and restart it if it hangs.",
            ),
            Self::TooOld { .. } => {
                ("PROVIDER_DOCKER_OBSOLETE", ExitCode::PROVIDER_UNSUPPORTED, "Update Docker to version 20.10 or newer.")
            }
            Self::NotLinux { .. } => (
                "PROVIDER_DOCKER_WINDOWS_CONTAINERS",
                ExitCode::PROVIDER_UNSUPPORTED,
                "Switch Docker to Linux containers.",
            ),
            Self::Rootless => (
                "PROVIDER_DOCKER_ROOTLESS",
                ExitCode::PROVIDER_UNSUPPORTED,
                "Point DOCKER_HOST at a Docker that runs as root, usually unix:///var/run/docker.sock.",
            ),
            Self::NotPrivileged { .. } => (
                "PROVIDER_DOCKER_PRIVILEGES",
                ExitCode::PROVIDER_PERMISSION,
                "Use a Docker that may start privileged containers.",
            ),
            Self::StorageFull { .. } => (
                "RSRC_DOCKER_STORAGE",
                ExitCode::INSUFFICIENT_STORAGE,
                "Free disk space: `docker system df` shows what uses it, `docker system prune` removes what is unused.",
            ),
            Self::TooFewCores { .. } => {
                ("RSRC_DOCKER_CORES", ExitCode::INSUFFICIENT_CORES, "Ask for fewer processors with --cpus.")
            }
            Self::Leftover { .. } => (
                "PROVIDER_DOCKER_LEFTOVER",
                ExitCode::PROVIDER_UNAVAILABLE,
                "Restart this host, or Docker and containerd, then run the command again.",
            ),
            Self::Engine { .. } => ("PROVIDER_DOCKER_ERROR", ExitCode::PROVIDER_UNAVAILABLE, ""),
            _ => return None,
        };
        Some(Reason::new(id, exit, advice))
    }

    /// Reasons that lie in what was asked for, or in what is there already.
    fn node_reason(&self) -> Reason {
        match self {
            Self::SubnetTaken { .. } => Reason::new(
                "IF_SUBNET_CONFLICT",
                ExitCode::NETWORK_CONFLICT,
                "Choose another --subnet, or leave it out to get a free one.",
            ),
            Self::NoFreeSubnet { .. } => Reason::new(
                "IF_DEDICATED_NETWORK",
                ExitCode::NETWORK_ERROR,
                "Remove networks that nobody uses with `docker network prune`, or choose a --subnet.",
            ),
            Self::NetworkUnusable { name } => Reason::new(
                "IF_DEDICATED_NETWORK",
                ExitCode::NETWORK_ERROR,
                format!("Remove it with `docker network rm {name}`, then start again."),
            ),
            Self::NetworkGone { node, .. } => Reason::new(
                "IF_DEDICATED_NETWORK",
                ExitCode::NETWORK_ERROR,
                format!("`docker rm {node}`, then `skiff start`: the node is made again on its data."),
            ),
            Self::AddressTaken { .. } => Reason::new(
                "IF_ADDRESS_CONFLICT",
                ExitCode::NETWORK_CONFLICT,
                "Disconnect the other container with `docker network disconnect`.",
            ),
            Self::NameTaken { resource, name, .. } => Reason::new(
                "GUEST_NAME_CONFLICT",
                ExitCode::GUEST_CONFLICT,
                format!("Choose another name for the cluster with -p, or remove the {resource} {name}."),
            ),
            Self::NodeExists { .. } => Reason::new("GUEST_NODE_EXISTS", ExitCode::GUEST_CONFLICT, ""),
            Self::NodeAbsent { .. } => {
                Reason::new("GUEST_NODE_RETRIEVE", ExitCode::GUEST_NOT_FOUND, "`skiff start` makes it again.")
            }
            Self::NodeNotRunning { .. } => {
                Reason::new("GUEST_NODE_NOT_RUNNING", ExitCode::GUEST_NOT_RUNNING, "`skiff start` starts it.")
            }
            Self::PortTaken { purpose, .. } => Reason::new(
                "GUEST_PORT_IN_USE",
                ExitCode::GUEST_CONFLICT,
                match purpose {
                    Purpose::User => "Stop what uses it, or choose another port of the host with --ports.",
                    Purpose::Ssh | Purpose::ApiServer => "Stop what uses it, then run the command again.",
                },
            ),
            Self::ImageMissing { .. } => Reason::new("GUEST_IMAGE_MISSING", ExitCode::GUEST_NOT_FOUND, ""),
            Self::ImageInUse { .. } => {
                Reason::new("GUEST_IMAGE_IN_USE", ExitCode::GUEST_CONFLICT, "Delete the clusters that use it first.")
            }
            Self::File { .. } => Reason::new("HOST_FILE", ExitCode::HOST_ERROR, ""),
            _ => Reason::new("GUEST_PROVISION", ExitCode::GUEST_ERROR, "Delete the cluster and start it again."),
        }
    }
}
