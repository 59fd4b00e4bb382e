//! From what a cluster shall be to what one machine shall be: pure.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use sha2::{Digest, Sha256};
use skiff_bootstrap::{
    CgroupVersion, HostFacts, KUBEADM_CONFIG, KubeletSettings, NodeConfig, NodeFile, Role, cni, node_files,
};
use skiff_config::{ClusterSpec, Limit, NodeRecord, Protocol};
use skiff_driver::{Capabilities, NodeNetwork, NodeRole, NodeSpec, Published, Purpose, Resources, SeedFile};
use skiff_report::ExitCode;

use crate::{
    ClusterError,
    identity::{Identity, NodeIdentity},
};

/// File with the name servers that pods get; the node's set-up writes it at each boot.
const POD_RESOLV_CONF: &str = "/run/skiff/resolv.conf";
/// kubeadm reads its configuration from here, but only what it says counts for the fingerprint.
const CONFIGURATION: [&str; 2] = [KUBEADM_CONFIG, cni::CONFLIST];

/// Everything one machine is made from.
pub(crate) struct NodePlan {
    /// For the driver.
    pub(crate) spec: NodeSpec,
    /// For kubeadm.
    pub(crate) config: NodeConfig,
    /// Changes whenever the machine must be made anew to take over the settings.
    pub(crate) fingerprint: String,
}

/// Plans one node.
///
/// # Errors
/// Settings that fit no configuration document, and limits beyond what the driver has.
pub(crate) fn plan_node(
    identity: &Identity,
    node: &NodeIdentity,
    record: &NodeRecord,
    network: &NodeNetwork,
    capabilities: &Capabilities,
    now: SystemTime,
) -> Result<NodePlan, ClusterError> {
    let spec = &identity.config.spec;
    let config = node_config(spec, record, capabilities)?;
    let files = node_files(&identity.config, &config, &identity.pki, now)?;
    let resources = resources(spec, record.memory, capabilities)?;
    let published = published(spec, record);
    let fingerprint = fingerprint(record, &resources, &published, &files);
    let seed = files.into_iter().map(|file| seed(file.path, file.mode, file.contents));
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
        seed: seed.chain([settings(spec)]).chain(identity_files(identity, node)).collect(),
        // What is marked is not the node's but the cluster's: whoever makes it adds that.
        marks: BTreeMap::new(),
    };
    Ok(NodePlan { spec, config, fingerprint })
}

fn node_config(
    spec: &ClusterSpec,
    record: &NodeRecord,
    capabilities: &Capabilities,
) -> Result<NodeConfig, ClusterError> {
    let pod_cidr = spec.node_pod_cidr(record.index).ok_or_else(|| ClusterError::NoRoom {
        what: format!("the pod network {}", spec.pod_cidr),
        node: record.name.clone(),
    })?;
    let cgroups = if capabilities.unified_cgroups { CgroupVersion::V2 } else { CgroupVersion::V1 };
    let host =
        if capabilities.shares_host_kernel { HostFacts::container(cgroups) } else { HostFacts::machine(cgroups) };
    let role = match (NodeRole::parse(&record.role), record.index) {
        (Some(NodeRole::ControlPlane), 0) => Role::FirstControlPlane,
        (Some(NodeRole::ControlPlane), _) => Role::ControlPlane,
        _ => Role::Worker,
    };
    let mut config = NodeConfig::new(record.name.clone(), record.address, role, pod_cidr, host);
    config.kubelet = KubeletSettings { resolv_conf: Some(POD_RESOLV_CONF.to_owned()), ..KubeletSettings::default() };
    Ok(config)
}

/// The limits of a node on this host.
///
/// Without a wish a node may use all processors, and memory as minikube gives it: a quarter of what
/// there is, but 3 to 6 GiB, in hundreds of MiB. What it was `granted` so it keeps, though the host
/// may have changed a little: a node is not made anew for that.
pub(crate) fn resources(
    spec: &ClusterSpec,
    granted: Option<u64>,
    capabilities: &Capabilities,
) -> Result<Resources, ClusterError> {
    let gib = 1_u64 << 30;
    let most = capabilities.memory;
    let memory = match spec.memory {
        Limit::NoLimit | Limit::Max => None,
        Limit::Auto => granted
            .filter(|bytes| *bytes <= most)
            .or_else(|| Some(whole_hundred_mib((most / 4).clamp(3 * gib, 6 * gib).min(most)))),
        Limit::Exactly(bytes) if bytes > most => {
            return Err(ClusterError::TooLarge {
                setting: "--memory",
                wanted: skiff_config::format_bytes(bytes),
                available: format!("{} MiB", most >> 20),
                exit: ExitCode::INSUFFICIENT_MEMORY,
            });
        }
        Limit::Exactly(bytes) => Some(bytes),
    };
    let cpus = match spec.cpus {
        Limit::NoLimit | Limit::Max | Limit::Auto => None,
        Limit::Exactly(cpus) if cpus > f64::from(capabilities.cpus) => {
            return Err(ClusterError::TooLarge {
                setting: "--cpus",
                wanted: cpus.to_string(),
                available: capabilities.cpus.to_string(),
                exit: ExitCode::INSUFFICIENT_CORES,
            });
        }
        Limit::Exactly(cpus) => Some(cpus),
    };
    Ok(Resources { cpus, memory, disk: capabilities.disk_limit.then_some(spec.disk_size) })
}

/// A size that people can read: down to a multiple of 100 MiB.
fn whole_hundred_mib(bytes: u64) -> u64 {
    let unit = 100 << 20;
    bytes / unit * unit
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
    let user = spec.ports.iter().filter(|_| record.index == 0).map(|mapping| Published {
        purpose: Purpose::User,
        host_ip: mapping.host_ip.unwrap_or(spec.listen_address),
        host_port: mapping.host_port,
        node_port: mapping.node_port,
        protocol: mapping.protocol,
    });
    [ssh].into_iter().chain(apiserver).chain(user).collect()
}

/// What the node's own set-up (`deploy/node`) has to know of the cluster.
fn settings(spec: &ClusterSpec) -> SeedFile {
    seed("/etc/skiff/node.env", 0o644, format!("SERVICE_CIDR={}\n", spec.service_cidr))
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
/// new each time, and the names they carry stand in kubeadm's configuration as well.
fn fingerprint(record: &NodeRecord, resources: &Resources, published: &[Published], files: &[NodeFile]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {} {resources:?} {published:?}", record.image, record.address));
    for file in files.iter().filter(|file| CONFIGURATION.contains(&file.path.as_str())) {
        hash.update(&file.path);
        hash.update(&file.contents);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "node_spec/tests.rs"]
mod tests;
