//! `KubeletConfiguration`, and the settings that are still flags.

use serde_json::{Value, json};
use skiff_config::Component;

use super::{
    document::insert_unless_empty,
    field_path::{self, Schema},
    flags::Flags,
    gates,
};
use crate::{BootstrapError, CgroupVersion, ClusterConfig, NodeConfig, Reserved};

/// containerd's socket.
pub(crate) const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";

const SCHEMA: Schema = Schema {
    text_maps: &[
        "evictionHard",
        "evictionSoft",
        "evictionSoftGracePeriod",
        "evictionMinimumReclaim",
        "systemReserved",
        "kubeReserved",
        "qosReserved",
    ],
    texts: &["reservedSystemCPUs"],
    lists: &["allowedUnsafeSysctls", "clusterDNS", "enforceNodeAllocatable", "tlsCipherSuites", "preferredNUMAZones"],
};

pub(super) fn configuration(cluster: &ClusterConfig, node: &NodeConfig) -> Result<Value, BootstrapError> {
    let mut document = of_every_node(cluster, node);
    fit_host(&mut document, cluster.version().minor(), node);
    insert_unless_empty(&mut document, "featureGates", gates::to_map(gates::of_components(cluster)));
    for (key, value) in cluster.settings(Component::Kubelet).filter(|(key, _)| !is_flag(key)) {
        field_path::set(&mut document, &SCHEMA, key, value).map_err(|detail| {
            let setting = format!("kubelet.{key}={value}");
            BootstrapError::ExtraConfig { setting, detail }
        })?;
    }
    Ok(document)
}

fn of_every_node(cluster: &ClusterConfig, node: &NodeConfig) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": "/etc/kubernetes/pki/ca.crt" },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": node.host.cgroup_driver.as_str(),
        "clusterDNS": [cluster.spec.cluster_dns_ip().to_string()],
        "clusterDomain": cluster.spec.dns_domain,
        // A kubelet that watches asks for the secrets of its pods the moment it learns of them. After a
        // restart the API server does not know yet that they are its pods', refuses, and the next
        // question comes 2 s later. One that asks when it mounts comes late enough.
        "configMapAndSecretChangeDetectionStrategy": "Get",
        // A node shares its disk with the host: how full that is says nothing about the node, and
        // images that came with the node must not be thrown away.
        "evictionHard": { "imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%" },
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": false,
        "hairpinMode": "hairpin-veth",
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "rotateCertificates": true,
        "staticPodPath": "/etc/kubernetes/manifests",
        "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
    })
}

/// What depends on the machine and on what its Kubernetes understands.
fn fit_host(document: &mut Value, minor: u64, node: &NodeConfig) {
    if minor >= 27 {
        document["containerRuntimeEndpoint"] = CRI_SOCKET.into();
    }
    if minor <= 26 {
        // Five requests a second, their limit, hold up the pods of a new node and the news of them for
        // seconds. Later kubelets have these limits by themselves.
        (document["kubeAPIQPS"], document["kubeAPIBurst"]) = (50.into(), 100.into());
    }
    if minor >= 35 && node.host.cgroup_version == CgroupVersion::V1 {
        // From 1.35 on a kubelet on cgroup v1 refuses to start unless told that this is meant.
        document["failCgroupV1"] = false.into();
    }
    if node.host.nested {
        // A container may not be allowed to ask for -999, the default, and the kubelet then tries
        // for 200 ms at each start.
        document["oomScoreAdj"] = 0.into();
    }
    if node.reserved != Reserved::default() {
        // What is left is what the scheduler has to share out; the whole machine is not the node's.
        let Reserved { millicpus, memory } = node.reserved;
        document["systemReserved"] =
            json!({ "cpu": format!("{millicpus}m"), "memory": format!("{}Ki", memory.div_ceil(1024)) });
    }
    if let Some(file) = &node.resolv_conf {
        document["resolvConf"] = file.as_str().into();
    }
}

/// Flags for what the configuration file cannot say in this version, and those the user set.
pub(super) fn flags(cluster: &ClusterConfig, node: &NodeConfig) -> Flags {
    let minor = cluster.version().minor();
    let mut flags = Flags::default();
    let ipv6 = node.ipv6.map(|ipv6| format!(",{}", ipv6.address)).unwrap_or_default();
    flags.set("node-ip", &format!("{}{ipv6}", node.address));
    if minor <= 23 {
        // As long as there was a runtime built in, any other had to be asked for.
        flags.set("container-runtime", "remote");
    }
    if minor <= 26 {
        flags.set("container-runtime-endpoint", CRI_SOCKET);
    }
    if !node.labels.is_empty() {
        let labels: Vec<String> = node.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        flags.set("node-labels", &labels.join(","));
    }
    if !node.taints.is_empty() {
        let taints: Vec<String> = node.taints.iter().map(ToString::to_string).collect();
        flags.set("register-with-taints", &taints.join(","));
    }
    for (key, value) in cluster.settings(Component::Kubelet).filter(|(key, _)| is_flag(key)) {
        flags.merge(key, value);
    }
    flags
}

/// Fields are in camel case, flags are words with dashes: `kubelet.max-pods` is the flag that people
/// coming from minikube write, `kubelet.maxPods` the field.
fn is_flag(key: &str) -> bool {
    !key.contains('.') && (key.contains('-') || matches!(key, "v" | "vmodule"))
}
