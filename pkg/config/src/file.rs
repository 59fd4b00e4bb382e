//! The stored form: one YAML file a cluster, strict and versioned.

mod layers;
mod reading;
mod status;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::reading::{
    Reading, address, dns_name, feature_gate, net, network, networks, number_of_nodes, port, speaks_both, yes_or_no,
};
pub use self::status::{EntranceRecord, HostSize, NodeRecord, Phase, Status};
use crate::{
    AddonWish, ApiServer, ClusterName, ClusterSpec, Cni, Component, ExtraConfig, FeatureGate, Ipv6Networks,
    KubeVersion, Label, Limit, Mount, OnNode, PortMapping, Problem, Taint, parse_bytes, versions,
};

/// `apiVersion` of the file this build writes and reads.
const API_VERSION: &str = "skiff.dev/v1alpha1";
/// `kind` of the file.
const KIND: &str = "Cluster";

/// A file that cannot be read as a cluster.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not YAML, or keys that are not known. The cause names line and column.
    #[error("not a valid cluster file")]
    Syntax(#[from] serde_yaml::Error),
    /// YAML of something else, or of another version of skiff.
    #[error("apiVersion `{api_version}`, kind `{kind}` is not what this skiff reads ({API_VERSION}, {KIND})")]
    Version {
        /// What the file says.
        api_version: String,
        /// What the file says.
        kind: String,
    },
}

/// A cluster as stored: what was asked for, and what cannot be asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterFile {
    api_version: String,
    kind: String,
    /// The name.
    pub metadata: Metadata,
    /// What was asked for.
    #[serde(default)]
    pub spec: SpecFile,
    /// What was asked of addons, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub addons: BTreeMap<String, AddonWish>,
    /// What skiff decided while making it.
    #[serde(default)]
    pub status: Status,
}

/// Who the file is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// Name of the cluster.
    pub name: ClusterName,
}

/// What was asked for, as text: absent means skiff's default. Flags, environment, configuration
/// file and stored cluster all take this form, so that they can be laid over each other before
/// anything is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SpecFile {
    /// `--driver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// `--kubernetes-version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// `--cpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// `--memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// `--disk-size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_size: Option<String>,
    /// `--apiserver-port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apiserver_port: Option<String>,
    /// `--apiserver-names`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apiserver_names: Option<Vec<String>>,
    /// `--apiserver-ips`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apiserver_ips: Option<Vec<String>>,
    /// `--extra-config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_config: Option<Vec<String>>,
    /// `--feature-gates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_gates: Option<Vec<String>>,
    /// `--service-cluster-ip-range`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_cluster_ip_range: Option<String>,
    /// `--pod-network-cidr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_network_cidr: Option<String>,
    /// `--dns-domain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_domain: Option<String>,
    /// `--subnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// `--static-ip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_ip: Option<String>,
    /// `--listen-address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_address: Option<String>,
    /// `--ports`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<String>>,
    /// `--mounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<String>>,
    /// `--nodes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// `--ha`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha: Option<String>,
    /// `--cni`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni: Option<String>,
    /// `--ip-family`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family: Option<String>,
    /// `--node-labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_labels: Option<Vec<String>>,
    /// `--node-taints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_taints: Option<Vec<String>>,
    /// `--cert-expiration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_expiration: Option<String>,
    /// `--auto-pause-interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_pause_interval: Option<String>,
    /// `--etcd-unsafe-fsync`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd_unsafe_fsync: Option<String>,
}

impl ClusterFile {
    /// A new cluster.
    #[must_use]
    pub fn new(name: ClusterName, spec: SpecFile) -> Self {
        let metadata = Metadata { name };
        let (addons, status) = (BTreeMap::new(), Status::default());
        Self { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec, addons, status }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn from_yaml(text: &str) -> Result<Self, FileError> {
        let file: Self = serde_yaml::from_str(text)?;
        if file.api_version == API_VERSION && file.kind == KIND {
            Ok(file)
        } else {
            Err(FileError::Version { api_version: file.api_version, kind: file.kind })
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for values made by skiff; kept as an error so that nothing is ever lost silently.
    pub fn to_yaml(&self) -> Result<String, FileError> {
        Ok(serde_yaml::to_string(self)?)
    }

    /// What the cluster shall be, with defaults filled in.
    ///
    /// # Errors
    /// Every problem there is, not just the first.
    pub fn to_spec(&self) -> Result<ClusterSpec, Vec<Problem>> {
        self.spec.resolve(self.metadata.name.clone())
    }
}

impl SpecFile {
    /// Reads every setting, fills in defaults and validates the whole.
    ///
    /// # Errors
    /// Every problem there is, not just the first.
    pub fn resolve(&self, name: ClusterName) -> Result<ClusterSpec, Vec<Problem>> {
        let mut read = Reading::default();
        let ha = read.one("ha", self.ha.as_deref(), false, yes_or_no);
        let (service_cidr, pod_cidr, ipv6) = self.networks(&mut read);
        let spec = ClusterSpec {
            name,
            driver: self.driver.clone().unwrap_or_else(|| "auto".to_owned()),
            kubernetes_version: read.one(
                "kubernetes-version",
                self.kubernetes_version.as_deref(),
                KubeVersion::default(),
                str::parse,
            ),
            cpus: read.one("cpus", self.cpus.as_deref(), Limit::Auto, str::parse),
            memory: read.one("memory", self.memory.as_deref(), Limit::Auto, str::parse),
            disk_size: read.one("disk-size", self.disk_size.as_deref(), 20 << 30, parse_bytes),
            apiserver: ApiServer {
                port: read.one("apiserver-port", self.apiserver_port.as_deref(), 8443, port),
                names: read.all("apiserver-names", self.apiserver_names.as_deref(), dns_name),
                ips: read.all("apiserver-ips", self.apiserver_ips.as_deref(), address),
            },
            extra_config: read.all("extra-config", self.extra_config.as_deref(), str::parse::<ExtraConfig>),
            feature_gates: read.all("feature-gates", self.feature_gates.as_deref(), feature_gate),
            service_cidr,
            pod_cidr,
            ipv6,
            dns_domain: read.one("dns-domain", self.dns_domain.as_deref(), "cluster.local".to_owned(), dns_name),
            subnet: read.maybe("subnet", self.subnet.as_deref(), network),
            static_ip: read.maybe("static-ip", self.static_ip.as_deref(), |text| {
                text.parse::<Ipv4Addr>().map_err(|_| format!("`{text}` is not an IPv4 address"))
            }),
            listen_address: read.one(
                "listen-address",
                self.listen_address.as_deref(),
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                address,
            ),
            ports: read.all("ports", self.ports.as_deref(), str::parse::<OnNode<PortMapping>>),
            mounts: read.all("mounts", self.mounts.as_deref(), str::parse::<OnNode<Mount>>),
            nodes: read.one("nodes", self.nodes.as_deref(), if ha { 3 } else { 1 }, number_of_nodes),
            ha,
            cert_expiration: read.one(
                "cert-expiration",
                self.cert_expiration.as_deref(),
                versions::CERT_EXPIRATION,
                crate::lifetime,
            ),
            auto_pause: read
                .maybe("auto-pause-interval", self.auto_pause_interval.as_deref(), crate::interval)
                .filter(|interval| !interval.is_zero()),
            etcd_unsafe_fsync: read.one("etcd-unsafe-fsync", self.etcd_unsafe_fsync.as_deref(), false, yes_or_no),
            cni: read.one("cni", self.cni.as_deref(), Cni::Bridge, |text| Ok::<_, String>(Cni::parse(text))),
            node_labels: read.all("node-labels", self.node_labels.as_deref(), str::parse::<OnNode<Label>>),
            node_taints: read.all("node-taints", self.node_taints.as_deref(), str::parse::<OnNode<Taint>>),
        };
        let spec = with_dual_stack(with_unsafe_fsync(spec));
        let mut problems = read.problems;
        // Defaults stand in for what could not be read; what they would break is not worth telling.
        let unread: Vec<&str> = problems.iter().map(|problem| problem.setting).collect();
        let broken = spec.validate().into_iter().filter(|problem| !unread.contains(&problem.setting));
        problems.extend(broken.collect::<Vec<_>>());
        if problems.is_empty() { Ok(spec) } else { Err(problems) }
    }

    /// The networks of services and pods, and those of IPv6 where both are spoken.
    fn networks(&self, read: &mut Reading) -> (Ipv4Net, Ipv4Net, Option<Ipv6Networks>) {
        let dual = read.one("ip-family", self.ip_family.as_deref(), false, speaks_both);
        let mut pair = |setting, text: &Option<String>, ipv4: Ipv4Net, ipv6: Ipv6Net| {
            let (own, own_ipv6) = read.one(setting, text.as_deref(), (ipv4, None), networks);
            if let Some(own_ipv6) = own_ipv6.filter(|_| !dual) {
                let message = format!("{own_ipv6} is of IPv6, which a cluster speaks with --ip-family dual");
                read.problems.push(Problem::usage(setting, message));
            }
            (own, own_ipv6.unwrap_or(ipv6))
        };
        let (usual_services, usual_pods) = (net([10, 96, 0, 0], 12), net([10, 244, 0, 0], 16));
        let setting = "service-cluster-ip-range";
        let (service_cidr, services) =
            pair(setting, &self.service_cluster_ip_range, usual_services, Ipv6Networks::SERVICES);
        let (pod_cidr, pods) = pair("pod-network-cidr", &self.pod_network_cidr, usual_pods, Ipv6Networks::PODS);
        (service_cidr, pod_cidr, dual.then_some(Ipv6Networks { services, pods }))
    }
}

/// etcd has a flag for it, since 3.4.
fn with_unsafe_fsync(mut spec: ClusterSpec) -> ClusterSpec {
    if spec.etcd_unsafe_fsync {
        let (key, value) = ("unsafe-no-fsync".to_owned(), "true".to_owned());
        spec.extra_config.push(ExtraConfig { component: Component::Etcd, key, value });
    }
    spec
}

/// Kubernetes 1.20 speaks both families only where it is told to; from 1.21 on it just does. Wishes of the
/// user come later, and win.
fn with_dual_stack(mut spec: ClusterSpec) -> ClusterSpec {
    if spec.ipv6.is_some() && spec.kubernetes_version.minor() <= 20 {
        spec.feature_gates.insert(0, FeatureGate { name: "IPv6DualStack".to_owned(), enabled: true });
    }
    spec
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
