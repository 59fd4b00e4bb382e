//! What a node's container shall be: plain functions from facts to the Engine's request.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig,
    PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use skiff_config::{Mount as Folder, ipv6_address};
use skiff_driver::{NodeSpec, Published, Resources};

use crate::{labels, privilege::Privilege};

/// What a systemd as first process understands as `shut down`.
const STOP_SIGNAL: &str = "SIGRTMIN+3";

/// Seconds a node gets to shut down before it is killed.
pub(crate) const STOP_SECONDS: u16 = 10;

/// Where the host keeps its kernel's modules.
pub(crate) const MODULES: &str = "/lib/modules";

/// Devices that a node uses where the host has them.
pub(crate) const DEVICES: [&str; 2] = ["/dev/kmsg", "/dev/fuse"];

/// The Engine switches IPv6 on for the interface it makes. Pods' interfaces need it too, and packets to pass.
const IPV6_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv6.conf.all.disable_ipv6", "0"), ("net.ipv6.conf.all.forwarding", "1")];

/// What is known about the Engine and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostFacts {
    /// What containers may be given.
    pub(crate) privilege: Privilege,
    /// Those of [`DEVICES`] that exist.
    pub(crate) devices: Vec<&'static str>,
    /// [`MODULES`] exists.
    pub(crate) modules: bool,
}

/// The request that makes a node's container from an image.
pub(crate) fn container(spec: &NodeSpec, image: &str, facts: &HostFacts) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(spec.address.to_string()),
            ipv6_address: spec.network.ipv6.then(|| ipv6_address(spec.network.subnet, spec.address).to_string()),
            ..Default::default()
        }),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        hostname: Some(spec.name.to_string()),
        image: Some(image.to_owned()),
        // Tells systemd, and everything else that asks, that it runs in a container.
        env: Some(vec!["container=docker".to_owned()]),
        labels: Some(labels::container(spec)),
        stop_signal: Some(STOP_SIGNAL.to_owned()),
        stop_timeout: Some(i64::from(STOP_SECONDS)),
        exposed_ports: Some(spec.published.iter().map(node_port).collect()),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.name.clone(), endpoint)])),
        }),
        host_config: Some(privileged(host_config(spec, facts), facts)),
        ..ContainerCreateBody::default()
    }
}

/// All that does not depend on what the host lets containers do.
fn host_config(spec: &NodeSpec, facts: &HostFacts) -> HostConfig {
    let memory = spec.resources.memory.and_then(|bytes| i64::try_from(bytes).ok());
    HostConfig {
        memory,
        // The same amount with swap as without: none is swapped, which the kubelet counts on.
        memory_swap: memory,
        nano_cpus: spec.resources.cpus.map(nano_cpus),
        network_mode: Some(spec.network.name.clone()),
        port_bindings: Some(port_bindings(&spec.published)),
        mounts: Some([var_volume(spec)].into_iter().chain(spec.mounts.iter().map(bind)).collect()),
        binds: facts.modules.then(|| vec![format!("{MODULES}:{MODULES}:ro")]),
        tmpfs: Some(["/run", "/tmp"].map(|path| (path.to_owned(), String::new())).into()),
        // On cgroup v1 too: a node's cgroups then go with it, and two nodes never share `/kubepods`.
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        // A daemon that remaps users would leave the node without power over its own devices.
        userns_mode: Some("host".to_owned()),
        sysctls: spec.network.ipv6.then(|| IPV6_SYSCTLS.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        // systemd has to be the first process, whatever the daemon's default.
        init: Some(false),
        // A running node comes back with the daemon or the host; one that was stopped stays so.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        // Readable through the API, whatever the daemon's default, and never a full disk.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(
                [("max-size", "10m"), ("max-file", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ),
        }),
        ..HostConfig::default()
    }
}

/// Adds the rights that a node needs.
fn privileged(config: HostConfig, facts: &HostFacts) -> HostConfig {
    let unconfined = ["seccomp=unconfined", "apparmor=unconfined", "label=disable"].map(str::to_owned).to_vec();
    match &facts.privilege {
        Privilege::Full => HostConfig { privileged: Some(true), security_opt: Some(unconfined), ..config },
        Privilege::Without(missing) => HostConfig {
            privileged: Some(false),
            cap_add: Some(vec!["ALL".to_owned()]),
            cap_drop: Some(missing.iter().map(|&name| name.to_owned()).collect()),
            security_opt: Some(unconfined),
            device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
            devices: Some(facts.devices.iter().map(|path| device(path)).collect()),
            // Empty lists are how the API says what `systempaths=unconfined` is on the command line.
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            ..config
        },
    }
}

fn device(path: &str) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(path.to_owned()),
        path_in_container: Some(path.to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

/// The volume of all that a node stores, named like the node. The Engine makes it with the
/// container, or takes the one there is.
fn var_volume(spec: &NodeSpec) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(spec.name.to_string()),
        target: Some("/var".to_owned()),
        volume_options: Some(MountVolumeOptions { labels: Some(labels::volume(spec)), ..Default::default() }),
        ..Mount::default()
    }
}

/// A folder of the host in the node. Should it be missing the Engine says so, and does not make it.
fn bind(folder: &Folder) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(folder.host.display().to_string()),
        target: Some(folder.node.display().to_string()),
        read_only: Some(folder.read_only),
        ..Mount::default()
    }
}

/// The request that changes a container's limits. To leave one out would mean to leave it as it is,
/// so that no limit is `all` there is.
pub(crate) fn limits(wanted: &Resources, all: &Resources) -> ContainerUpdateBody {
    let memory = wanted.memory.or(all.memory).and_then(|bytes| i64::try_from(bytes).ok());
    let nano_cpus = wanted.cpus.or(all.cpus).map(nano_cpus);
    ContainerUpdateBody { memory, memory_swap: memory, nano_cpus, ..ContainerUpdateBody::default() }
}

/// Processors as the Engine counts them.
fn nano_cpus(cpus: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "no host has 9 thousand million processors")]
    let nanos = (cpus * 1e9).round() as i64;
    nanos
}

/// A port of the node, as the Engine writes it.
fn node_port(port: &Published) -> String {
    format!("{}/{}", port.node_port, port.protocol.as_str())
}

fn port_bindings(published: &[Published]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in published {
        let binding =
            PortBinding { host_ip: Some(port.host_ip.to_string()), host_port: Some(port.host_port.to_string()) };
        bindings.entry(node_port(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

#[cfg(test)]
mod tests;
