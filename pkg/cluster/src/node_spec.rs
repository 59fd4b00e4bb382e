//! From what a cluster shall be to what one machine shall be: pure.

mod resources;

use std::{collections::BTreeMap, fmt::Write as _, net::Ipv4Addr, time::SystemTime};

use sha2::{Digest, Sha256};
use skiff_bootstrap::{
    CgroupVersion, ClusterConfig, Endpoint, HostFacts, NodeConfig, NodeIpv6, Reserved, Role, cni, node_files, render,
};
use skiff_config::{ClusterSpec, Cni, Mount, NodeRecord, Problem, Protocol, Taint, ipv6_address};
use skiff_driver::{Capabilities, NodeNetwork, NodeRole, NodeSpec, Published, Purpose, Resources, SeedFile};
use skiff_report::ExitCode;

pub(crate) use self::resources::{host_size, resources};
use self::resources::{limits, reserved};
use crate::{
    ClusterError,
    identity::{Identity, NodeIdentity},
};

/// File with the name servers that pods get; the node's set-up writes it at each boot.
const POD_RESOLV_CONF: &str = "/run/skiff/resolv.conf";
/// The address at which each node finds an API server, on every node of every cluster the same: a
/// control plane's own on its node, on a worker the agent's role `endpoint`, which passes on to one
/// that lives. A node's set-up puts it on the loopback, so that pods reach it too.
const ENDPOINT: Ipv4Addr = Ipv4Addr::new(169, 254, 53, 54);
/// Where a worker finds the addresses of API servers, one a line.
pub(crate) const CONTROL_PLANES: &str = "/etc/skiff/control-planes";
/// Everything one machine is made from.
pub(crate) struct NodePlan {
    /// For the driver.
    pub(crate) spec: NodeSpec,
    /// For kubeadm.
    pub(crate) config: NodeConfig,
    /// What it may use, where that can be changed while it runs.
    pub(crate) limits: String,
    /// Changes whenever the machine must be made anew to take over the settings.
    pub(crate) fingerprint: String,
}

/// What a node's plan depends on beside the node.
pub(crate) struct Surroundings<'a> {
    /// The cluster's network.
    pub(crate) network: &'a NodeNetwork,
    /// The driver.
    pub(crate) capabilities: &'a Capabilities,
    /// Addresses of all control planes, that of the one that the cluster begins with first.
    pub(crate) control_planes: &'a [Ipv4Addr],
}

/// Where every node and every pod of a cluster finds an API server.
pub(crate) fn endpoint(spec: &ClusterSpec) -> Endpoint {
    Endpoint { host: ENDPOINT.to_string(), port: spec.apiserver.port }
}

/// Plans one node.
///
/// # Errors
/// Settings that fit no configuration document, and limits beyond what the driver has.
pub(crate) fn plan_node(
    identity: &Identity,
    node: &NodeIdentity,
    record: &NodeRecord,
    around: &Surroundings<'_>,
    now: SystemTime,
) -> Result<NodePlan, ClusterError> {
    let Surroundings { network, capabilities, control_planes } = *around;
    let spec = &identity.config.spec;
    let resources = resources(spec, record.memory, capabilities)?;
    let mut config = node_config(spec, record, capabilities)?;
    if config.role.is_control_plane() && control_planes.first() == Some(&record.address) {
        config.role = Role::FirstControlPlane;
    }
    config.ipv6 = ipv6(spec, record, network)?;
    config.mtu = network.mtu;
    let files = node_files(&identity.config, &config, &identity.pki, now)?;
    let published = published(spec, record);
    let mounts: Vec<Mount> = spec.mounts_of(record.index).cloned().collect();
    if !mounts.is_empty() && !capabilities.host_folders {
        let message = "the driver's nodes cannot be given folders of this host".to_owned();
        return Err(ClusterError::Settings { problems: vec![Problem::usage("mounts", message)] });
    }
    // What a machine can be given while it runs does not make it another one.
    let (fixed, limits) = match capabilities.live_resize {
        true => (None, limits(&resources)),
        false => (Some(&resources), String::new()),
    };
    let fingerprint = fingerprint(&identity.config, &config, record, fixed, &(&published, &mounts))?;
    let mut seeds: Vec<SeedFile> = files.into_iter().map(|file| seed(file.path, file.mode, file.contents)).collect();
    seeds.push(settings(spec, network));
    if !config.role.is_control_plane() {
        seeds.push(seed(CONTROL_PLANES, 0o644, servers(control_planes, spec.apiserver.port)));
    }
    seeds.extend(identity_files(identity, node));
    let role = if config.role.is_control_plane() { NodeRole::ControlPlane } else { NodeRole::Worker };
    let spec = NodeSpec {
        cluster: spec.name.clone(),
        name: record.name.clone(),
        role,
        image: record.image.clone(),
        network: network.clone(),
        address: record.address,
        resources,
        published,
        mounts,
        seed: seeds,
        // What is marked is not the node's but the cluster's: whoever makes it adds that.
        marks: BTreeMap::new(),
    };
    Ok(NodePlan { spec, config, limits, fingerprint })
}

/// What kubeadm is told of one node; which control plane is the first one is not the node's to know.
///
/// # Errors
/// As for [`plan_node`].
pub(crate) fn node_config(
    spec: &ClusterSpec,
    record: &NodeRecord,
    capabilities: &Capabilities,
) -> Result<NodeConfig, ClusterError> {
    let resources = resources(spec, record.memory, capabilities)?;
    let pod_cidr = spec.node_pod_cidr(record.index).ok_or_else(|| ClusterError::NoRoom {
        what: format!("the pod network {}", spec.pod_cidr),
        node: record.name.clone(),
    })?;
    let cgroups = if capabilities.unified_cgroups { CgroupVersion::V2 } else { CgroupVersion::V1 };
    let host =
        if capabilities.shares_host_kernel { HostFacts::container(cgroups) } else { HostFacts::machine(cgroups) };
    let role = match NodeRole::parse(&record.role) {
        Some(NodeRole::ControlPlane) => Role::ControlPlane,
        _ => Role::Worker,
    };
    let mut config = NodeConfig::new(record.name.clone(), record.address, role, pod_cidr, host);
    config.labels = spec.labels_of(record.index);
    config.labels.extend(record.labels.clone());
    config.taints = spec.taints_of(record.index).cloned().chain(taints(record)?).collect();
    config.reserved = reserved(&resources, host_size(record.host, capabilities), capabilities);
    config.resolv_conf = Some(POD_RESOLV_CONF.to_owned());
    Ok(config)
}

fn taints(record: &NodeRecord) -> Result<Vec<Taint>, ClusterError> {
    let read = |text: &String| {
        text.parse().map_err(|error: skiff_config::InvalidLabel| ClusterError::Settings {
            problems: vec![Problem::usage("taints", error.to_string())],
        })
    };
    record.taints.iter().map(read).collect()
}

/// Whether the driver's nodes have the families of addresses that are asked for.
pub(crate) fn families(spec: &ClusterSpec, capabilities: &Capabilities) -> Result<(), ClusterError> {
    if spec.ipv6.is_none() || capabilities.ipv6 {
        return Ok(());
    }
    let (id, exit, message) = if capabilities.shares_host_kernel {
        let message = "dual needs IPv6, and this host's kernel has none: it was built without it, or started with \
                       ipv6.disable=1. Clusters of ipv4 need none";
        ("HOST_NO_IPV6", ExitCode::HOST_CONFIG, message)
    } else {
        let message = "the network of this driver's machines carries IPv4 only: --driver docker has both families";
        ("DRV_NO_IPV6", ExitCode::DRIVER_UNSUPPORTED, message)
    };
    Err(ClusterError::Settings {
        problems: vec![Problem { setting: "ip-family", message: message.to_owned(), id, exit }],
    })
}

/// What a node has of IPv6, if anything.
fn ipv6(spec: &ClusterSpec, record: &NodeRecord, network: &NodeNetwork) -> Result<Option<NodeIpv6>, ClusterError> {
    if spec.ipv6.is_none() {
        return Ok(None);
    }
    let pods = spec.node_pod_ipv6(record.index).ok_or_else(|| ClusterError::NoRoom {
        what: format!("the pod network {}", spec.pod_cidrs()),
        node: record.name.clone(),
    })?;
    Ok(Some(NodeIpv6 { address: ipv6_address(network.subnet, record.address), pods }))
}

/// Whether the driver can publish ports at the addresses that are asked for.
pub(crate) fn addresses(spec: &ClusterSpec, capabilities: &Capabilities) -> Result<(), ClusterError> {
    if capabilities.ipv6_ports {
        return Ok(());
    }
    let ports = spec.ports.iter().filter_map(|port| Some(("ports", port.value.host_ip?)));
    let asked = [("listen-address", spec.listen_address)].into_iter().chain(ports);
    let refused = asked.filter(|(_, address)| address.is_ipv6()).map(|(setting, address)| {
        let message = format!("this driver publishes ports at addresses of IPv4 only, not at {address}");
        Problem { setting, message, id: "DRV_ADDRESS", exit: ExitCode::DRIVER_UNSUPPORTED }
    });
    let problems: Vec<_> = refused.collect();
    if problems.is_empty() { Ok(()) } else { Err(ClusterError::Settings { problems }) }
}

/// The API servers' addresses as the agent reads them.
pub(crate) fn servers(control_planes: &[Ipv4Addr], port: u16) -> String {
    control_planes.iter().map(|address| format!("{address}:{port}\n")).collect()
}

fn published(spec: &ClusterSpec, record: &NodeRecord) -> Vec<Published> {
    let on_listen_address = |purpose, host_port, node_port| Published {
        purpose,
        host_ip: spec.listen_address,
        host_port,
        node_port,
        protocol: Protocol::Tcp,
    };
    let ssh = on_listen_address(Purpose::Ssh, record.ssh_port, 22);
    let apiserver = record.apiserver_port.map(|port| on_listen_address(Purpose::ApiServer, port, spec.apiserver.port));
    let user = spec.ports_of(record.index).map(|mapping| Published {
        purpose: Purpose::User,
        host_ip: mapping.host_ip.unwrap_or(spec.listen_address),
        host_port: mapping.host_port,
        node_port: mapping.node_port,
        protocol: mapping.protocol,
    });
    [ssh].into_iter().chain(apiserver).chain(user).collect()
}

/// What the node's own set-up (`deploy/node`) has to know of the cluster.
fn settings(spec: &ClusterSpec, network: &NodeNetwork) -> SeedFile {
    let mut text = format!(
        "SERVICE_CIDR={}\nENDPOINT_IP={ENDPOINT}\nENDPOINT_PORT={}\nHOST_IP={}\n",
        spec.service_cidr, spec.apiserver.port, network.gateway
    );
    if let Some(ipv6) = spec.ipv6 {
        let _ = writeln!(text, "SERVICE_CIDR6={}", ipv6.services);
    }
    if spec.cni == Cni::Bridge {
        // Other networks see themselves to what leaves them.
        let _ = writeln!(text, "POD_CIDR={}", spec.pod_cidr);
        if let Some(ipv6) = spec.ipv6 {
            let _ = writeln!(text, "POD_CIDR6={}", ipv6.pods);
        }
    }
    seed("/etc/skiff/node.env", 0o644, text)
}

fn identity_files(identity: &Identity, node: &NodeIdentity) -> Vec<SeedFile> {
    vec![
        seed("/etc/machine-id", 0o444, format!("{}\n", node.machine_id)),
        seed("/etc/ssh/ssh_host_ed25519_key", 0o600, node.host_key.as_str()),
        seed("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, format!("{}\n", node.host_key_public)),
        seed("/root/.ssh/authorized_keys", 0o600, format!("{}\n", identity.ssh_public)),
    ]
}

fn seed(path: impl Into<String>, mode: u32, contents: impl Into<Vec<u8>>) -> SeedFile {
    SeedFile { path: path.into(), mode, contents: contents.into() }
}

/// A hash of all that a machine takes over only when it is made. Certificates are left out: they are
/// new each time, and the names they carry stand in kubeadm's configuration as well. So is what skiff
/// changes on a node that exists: whether its managers take turns with those of other control planes.
fn fingerprint(
    cluster: &ClusterConfig,
    node: &NodeConfig,
    record: &NodeRecord,
    resources: Option<&Resources>,
    given: &(&Vec<Published>, &Vec<Mount>),
) -> Result<String, ClusterError> {
    let alone = ClusterConfig { control_planes: 1, ..cluster.clone() };
    let reserved = if resources.is_some() { node.reserved } else { Reserved::default() };
    let lasting = NodeConfig { reserved, ..node.clone() };
    let mut hash = Sha256::new();
    hash.update(format!("{} {} {resources:?} {given:?} {}", record.image, record.address, cluster.spec.cni));
    hash.update(render::kubeadm_config(&alone, &lasting)?);
    hash.update(cni::conflist(node));
    Ok(hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
#[path = "node_spec/tests.rs"]
mod tests;
