//! What a node shall be.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, Mount, NodeName, Protocol};

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeRole {
    /// Runs the API server, etcd and their companions.
    ControlPlane,
    /// Runs pods only.
    Worker,
}

impl NodeRole {
    /// The role as drivers store it in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ControlPlane, Self::Worker].into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The network a cluster asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRequest {
    /// The cluster it belongs to; also its name.
    pub cluster: ClusterName,
    /// The subnet it must have; a free one is chosen if absent.
    pub subnet: Option<Ipv4Net>,
    /// Whether its machines get addresses of IPv6 too; only asked where `ipv6` is one of the driver's
    /// capabilities.
    pub ipv6: bool,
    /// Words to keep with it, as with nodes: it may be all that is left of a cluster.
    pub marks: BTreeMap<String, String>,
}

/// A network that some cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkStatus {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// The marks it was made with.
    pub marks: BTreeMap<String, String>,
}

/// The network a cluster got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNetwork {
    /// The driver's name for it.
    pub name: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// Its machines have addresses of IPv6 too: those that [`skiff_config::ipv6_address`] gives.
    pub ipv6: bool,
    /// The largest packet that finds its way through, where that is less than an Ethernet's.
    pub mtu: Option<u32>,
}

/// How much of the host a node may use. `None` = no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Resources {
    /// Processors; fractions are allowed where the driver can.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Size of the disk in bytes, for drivers that make one.
    pub disk: Option<u64>,
}

/// What a published port is for. Drivers keep it, so that they can tell a node's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The node's sshd.
    Ssh,
    /// The API server.
    ApiServer,
    /// Asked for by the user.
    User,
}

/// A port of the node that the host forwards to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What it is for.
    pub purpose: Purpose,
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host. Never 0: skiff chooses it, so that it survives a restart.
    pub host_port: u16,
    /// Port in the node.
    pub node_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// A file that must be in the node before it first starts: identity, keys, configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Absolute path in the node. Never below /run or /tmp, which are empty at every start.
    pub path: String,
    /// Permission bits, e.g. `0o600`. The owner is root.
    pub mode: u32,
    /// Its bytes.
    pub contents: Vec<u8>,
}

impl fmt::Debug for SeedFile {
    /// Contents may be keys, so only their size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedFile({} {:o}, {} bytes)", self.path, self.mode, self.contents.len())
    }
}

/// A port of the host that leads to whichever of a cluster's API servers works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The cluster; [`ClusterName::entrance`] names the machine that holds it.
    pub cluster: ClusterName,
    /// Key of a node image, which has the program for it.
    pub image: String,
    /// Its address in the cluster's network.
    pub address: Ipv4Addr,
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Where API servers answer.
    pub servers: Vec<SocketAddrV4>,
}

/// A node to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Its name: of the machine, its hostname and its Kubernetes node.
    pub name: NodeName,
    /// What it does.
    pub role: NodeRole,
    /// Key of the node image it starts from.
    pub image: String,
    /// The network it is in.
    pub network: NodeNetwork,
    /// Its address, for life.
    pub address: Ipv4Addr,
    /// Limits.
    pub resources: Resources,
    /// Forwarded ports, ssh and API server among them.
    pub published: Vec<Published>,
    /// What it sees of the host; for drivers whose nodes share the host's kernel.
    pub mounts: Vec<Mount>,
    /// Files to be there before the first start.
    pub seed: Vec<SeedFile>,
    /// Words to keep with the machine and with what it stores, told again by `list`: they are still
    /// there when skiff's own files are lost. Keys are lower-case words, values plain text.
    pub marks: BTreeMap<String, String>,
}
