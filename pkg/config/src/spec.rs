//! The form of a cluster's configuration that the rest of skiff works with.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    ClusterName, Cni, ExtraConfig, Ipv6Networks, KubeVersion, Label, Limit, Mount, OnNode, PortMapping, Taint,
};

/// Control planes of a cluster that survives the loss of one: the fewest of which two make a majority.
pub(crate) const HA_CONTROL_PLANES: u32 = 3;

/// How the API server presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Port it listens on in the node.
    pub port: u16,
    /// Extra DNS names for its certificate.
    pub names: Vec<String>,
    /// Extra addresses for its certificate.
    pub ips: Vec<IpAddr>,
}

/// A Kubernetes feature gate, switched on or off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureGate {
    /// Name, in Kubernetes' spelling.
    pub name: String,
    /// On or off.
    pub enabled: bool,
}

/// What a cluster shall be. No field needs the outside world to be understood.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSpec {
    /// Its name.
    pub name: ClusterName,
    /// Name of the driver; `auto` = the first that works.
    pub driver: String,
    /// Kubernetes version.
    pub kubernetes_version: KubeVersion,
    /// Processors of each node.
    pub cpus: Limit<f64>,
    /// Memory of each node, bytes.
    pub memory: Limit<u64>,
    /// Disk of each node, bytes.
    pub disk_size: u64,
    /// The API server.
    pub apiserver: ApiServer,
    /// Extra settings of Kubernetes' parts.
    pub extra_config: Vec<ExtraConfig>,
    /// Feature gates of all parts.
    pub feature_gates: Vec<FeatureGate>,
    /// Addresses of services.
    pub service_cidr: Ipv4Net,
    /// Addresses of pods; each node gets a /24 of it.
    pub pod_cidr: Ipv4Net,
    /// The same of IPv6, in a cluster that speaks both.
    pub ipv6: Option<Ipv6Networks>,
    /// The cluster's DNS domain.
    pub dns_domain: String,
    /// Subnet of the nodes; a free one is chosen if absent.
    pub subnet: Option<Ipv4Net>,
    /// Address of the first node; the first of the subnet if absent.
    pub static_ip: Option<Ipv4Addr>,
    /// Address of the host that published ports listen on.
    pub listen_address: IpAddr,
    /// Ports of nodes that the host forwards to: of the first one, where none is named.
    pub ports: Vec<OnNode<PortMapping>>,
    /// Folders of the host that nodes see: all nodes, where none is named.
    pub mounts: Vec<OnNode<Mount>>,
    /// How many nodes a new cluster gets, control planes included.
    pub nodes: u32,
    /// Whether a new cluster gets three control planes.
    pub ha: bool,
    /// Where the pod network comes from.
    pub cni: Cni,
    /// Labels of nodes: of all, where none is named.
    pub node_labels: Vec<OnNode<Label>>,
    /// Taints of nodes, likewise.
    pub node_taints: Vec<OnNode<Taint>>,
    /// How long certificates are good for that are issued from now on.
    pub cert_expiration: Duration,
    /// After how long without use the cluster is paused, to go on with the next use.
    pub auto_pause: Option<Duration>,
    /// Whether etcd goes on without waiting for the disk: fast, and lost with the host.
    pub etcd_unsafe_fsync: bool,
}

impl ClusterSpec {
    /// Address of the `kubernetes` service: the first of the service CIDR.
    #[must_use]
    pub fn kubernetes_service_ip(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 1)
    }

    /// Address of the cluster's DNS: the tenth of the service CIDR, as kubeadm chooses it.
    #[must_use]
    pub fn cluster_dns_ip(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 10)
    }

    /// Networks of services, as Kubernetes takes a pair: IPv4 first.
    #[must_use]
    pub fn service_cidrs(&self) -> String {
        pair(self.service_cidr, self.ipv6.map(|ipv6| ipv6.services))
    }

    /// Networks of pods, likewise.
    #[must_use]
    pub fn pod_cidrs(&self) -> String {
        pair(self.pod_cidr, self.ipv6.map(|ipv6| ipv6.pods))
    }

    /// Address of the cluster's DNS in IPv6, where there is one.
    #[must_use]
    pub fn cluster_dns_ipv6(&self) -> Option<Ipv6Addr> {
        self.ipv6.map(|ipv6| Ipv6Addr::from(u128::from(ipv6.services.network()) + 10))
    }

    /// Ports of node number `index` that the host forwards to.
    pub fn ports_of(&self, index: u32) -> impl Iterator<Item = &PortMapping> {
        self.ports.iter().filter(move |port| port.node.unwrap_or(0) == index).map(|port| &port.value)
    }

    /// What node number `index` sees of the host.
    pub fn mounts_of(&self, index: u32) -> impl Iterator<Item = &Mount> {
        of(&self.mounts, index)
    }

    /// Labels of node number `index`. Its own win over those of all.
    #[must_use]
    pub fn labels_of(&self, index: u32) -> BTreeMap<String, String> {
        of(&self.node_labels, index).map(|label| (label.name.clone(), label.value.clone())).collect()
    }

    /// Taints of node number `index`.
    pub fn taints_of(&self, index: u32) -> impl Iterator<Item = &Taint> {
        of(&self.node_taints, index)
    }

    /// How many control planes a new cluster gets.
    #[must_use]
    pub fn control_planes(&self) -> u32 {
        if self.ha { HA_CONTROL_PLANES } else { 1 }
    }

    /// The pod addresses of node number `index`: the `index`th /24 of the pod CIDR, `None` when
    /// there are not that many.
    #[must_use]
    pub fn node_pod_cidr(&self, index: u32) -> Option<Ipv4Net> {
        self.pod_cidr.subnets(24).ok()?.nth(usize::try_from(index).ok()?)
    }

    /// The IPv6 addresses of its pods, `None` when the cluster has none, or not that many.
    #[must_use]
    pub fn node_pod_ipv6(&self, index: u32) -> Option<Ipv6Net> {
        self.ipv6?.pods.subnets(Ipv6Networks::OF_NODE).ok()?.nth(usize::try_from(index).ok()?)
    }
}

/// One network, or two with a comma.
fn pair(ipv4: Ipv4Net, ipv6: Option<Ipv6Net>) -> String {
    ipv6.map_or_else(|| ipv4.to_string(), |ipv6| format!("{ipv4},{ipv6}"))
}

/// What is for all nodes, and then what is for one.
fn of<T>(values: &[OnNode<T>], index: u32) -> impl Iterator<Item = &T> {
    let all = values.iter().filter(|value| value.node.is_none());
    all.chain(values.iter().filter(move |value| value.names(index))).map(|value| &value.value)
}

/// The `n`th address of a network, which must be large enough; validation has seen to that.
fn nth_address(net: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()).saturating_add(n))
}
