//! What the pure parts of this crate are given: a cluster, and one node of it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::{Ipv4Net, Ipv6Net};
use skiff_config::{ClusterSpec, Component, KubeVersion, NodeName, Taint, versions};

use crate::{BootstrapError, BootstrapToken};

/// Where all nodes and clients reach the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Address or DNS name.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// The URL clients use.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{self}")
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What all nodes of a cluster have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    /// What was asked for.
    pub spec: ClusterSpec,
    /// The control plane's endpoint, in every kubeconfig of a node.
    pub endpoint: Endpoint,
    /// The token nodes join with.
    pub token: BootstrapToken,
    /// The registry that images are named after.
    pub image_repository: String,
    /// How many control-plane nodes there shall be; one needs no leader election.
    pub control_planes: u32,
    /// True if kubeadm shall set up `CoreDNS`; false where cluster DNS comes from elsewhere.
    pub coredns: bool,
    /// How long kubeadm waits for the kubelet, the control plane, discovery.
    pub patience: Duration,
    /// How long leaf certificates last.
    pub leaf_validity: Duration,
    /// How long the certificate authorities last.
    pub ca_validity: Duration,
}

/// Ten years, as kubeadm's.
pub const DEFAULT_CA_VALIDITY: Duration = Duration::from_hours(87_600);

impl ClusterConfig {
    /// A cluster of one control plane with defaults for everything a [`ClusterSpec`] does not say.
    ///
    /// # Errors
    /// [`BootstrapError::ExtraConfig`] for a kubeadm setting that makes no sense.
    pub fn new(mut spec: ClusterSpec, endpoint: Endpoint, token: BootstrapToken) -> Result<Self, BootstrapError> {
        // The one kubeadm setting that is not a flag: from here on it is the pod CIDR.
        if let Some(setting) = last_setting(&spec, Component::Kubeadm, "pod-network-cidr") {
            spec.pod_cidr = setting.1.parse().map_err(|_| BootstrapError::ExtraConfig {
                setting: setting.0,
                detail: format!("`{}` is not an IPv4 network", setting.1),
            })?;
        }
        let leaf_validity = spec.cert_expiration;
        Ok(Self {
            spec,
            endpoint,
            token,
            image_repository: versions::IMAGE_REPOSITORY.to_owned(),
            control_planes: 1,
            coredns: false,
            patience: Duration::from_mins(4),
            leaf_validity,
            ca_validity: DEFAULT_CA_VALIDITY,
        })
    }

    /// The Kubernetes version.
    #[must_use]
    pub fn version(&self) -> &KubeVersion {
        &self.spec.kubernetes_version
    }

    /// The user's settings of one component, in the order given.
    pub(crate) fn settings(&self, component: Component) -> impl Iterator<Item = (&str, &str)> {
        let of_component = move |setting: &&skiff_config::ExtraConfig| setting.component == component;
        self.spec.extra_config.iter().filter(of_component).map(|setting| (setting.key.as_str(), setting.value.as_str()))
    }
}

/// A setting given more than once counts as given last: its full text and its value.
fn last_setting(spec: &ClusterSpec, component: Component, key: &str) -> Option<(String, String)> {
    let matching = |setting: &&skiff_config::ExtraConfig| setting.component == component && setting.key == key;
    spec.extra_config.iter().rfind(matching).map(|setting| (setting.to_string(), setting.value.clone()))
}

/// How a node takes part in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The control plane that the cluster begins with.
    FirstControlPlane,
    /// A further control plane.
    ControlPlane,
    /// Runs pods only.
    Worker,
}

impl Role {
    /// True for nodes that run an API server and etcd.
    #[must_use]
    pub fn is_control_plane(self) -> bool {
        self != Self::Worker
    }
}

/// Who makes a container's cgroups; the kubelet and the runtime must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CgroupDriver {
    /// Written directly.
    Cgroupfs,
    /// Asked of systemd.
    Systemd,
}

impl CgroupDriver {
    /// As the kubelet's configuration writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }
}

/// The kind of cgroup hierarchy a node sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CgroupVersion {
    /// One hierarchy a controller, or a hybrid.
    V1,
    /// The unified hierarchy.
    V2,
}

impl CgroupVersion {
    /// The driver that nodes of skiff use on it, as the node image's set-up chooses it for containerd.
    #[must_use]
    pub fn driver(self) -> CgroupDriver {
        match self {
            Self::V1 => CgroupDriver::Cgroupfs,
            Self::V2 => CgroupDriver::Systemd,
        }
    }
}

/// What a node's machine is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFacts {
    /// Its cgroups.
    pub cgroup_version: CgroupVersion,
    /// What containerd is set to.
    pub cgroup_driver: CgroupDriver,
    /// True for a container: it shares kernel, memory and disk with others.
    pub nested: bool,
}

impl HostFacts {
    /// A node in a container.
    #[must_use]
    pub fn container(cgroup_version: CgroupVersion) -> Self {
        Self { cgroup_version, cgroup_driver: cgroup_version.driver(), nested: true }
    }

    /// A node in a machine of its own.
    #[must_use]
    pub fn machine(cgroup_version: CgroupVersion) -> Self {
        Self { nested: false, ..Self::container(cgroup_version) }
    }
}

/// A part of a machine that is not for pods: a node in a container sees all of its host, whatever
/// its limits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved {
    /// Thousandths of a processor.
    pub millicpus: u64,
    /// Memory, bytes.
    pub memory: u64,
}

/// What a node has of IPv6, in a cluster that speaks both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeIpv6 {
    /// Its address.
    pub address: Ipv6Addr,
    /// Addresses of its pods.
    pub pods: Ipv6Net,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Its name: also its hostname.
    pub name: NodeName,
    /// Its address, which never changes.
    pub address: Ipv4Addr,
    /// Its part in the cluster.
    pub role: Role,
    /// Addresses of its pods.
    pub pod_cidr: Ipv4Net,
    /// What it has of IPv6.
    pub ipv6: Option<NodeIpv6>,
    /// What its machine is like.
    pub host: HostFacts,
    /// True if a control plane shall run other pods too.
    pub schedulable: bool,
    /// Labels it registers with.
    pub labels: BTreeMap<String, String>,
    /// Taints it registers with.
    pub taints: Vec<Taint>,
    /// What its machine shows but pods must not use.
    pub reserved: Reserved,
    /// File with the name servers that its pods get; `/etc/resolv.conf` if absent.
    pub resolv_conf: Option<String>,
    /// Largest packet of the pod network; the interface's own if absent.
    pub mtu: Option<u32>,
}

impl NodeConfig {
    /// A node with defaults: schedulable, no labels.
    #[must_use]
    pub fn new(name: NodeName, address: Ipv4Addr, role: Role, pod_cidr: Ipv4Net, host: HostFacts) -> Self {
        Self {
            name,
            address,
            role,
            pod_cidr,
            ipv6: None,
            host,
            schedulable: true,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            reserved: Reserved::default(),
            resolv_conf: None,
            mtu: None,
        }
    }

    /// Where the node's own API server listens.
    pub(crate) fn local_endpoint(&self, cluster: &ClusterConfig) -> Endpoint {
        Endpoint { host: self.address.to_string(), port: cluster.spec.apiserver.port }
    }
}
