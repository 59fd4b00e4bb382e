//! kind's files, `kind.x-k8s.io/v1alpha4`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_yaml::Value;

use super::{Fault, Manifest, ManifestError, faulty, line_of, text::Text};
use crate::{ClusterName, SpecFile};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    name: Option<ClusterName>,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    networking: Networking,
    #[serde(default)]
    feature_gates: BTreeMap<String, bool>,
    #[serde(default)]
    runtime_config: BTreeMap<String, Text>,
    kubeadm_config_patches: Option<Value>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_patches_json6902: Option<Value>,
    containerd_config_patches: Option<Value>,
    #[serde(rename = "containerdConfigPatchesJSON6902")]
    containerd_config_patches_json6902: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Node {
    role: Role,
    image: Option<String>,
    labels: BTreeMap<String, String>,
    extra_mounts: Vec<Mount>,
    extra_port_mappings: Vec<PortMapping>,
    kubeadm_config_patches: Option<Value>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_patches_json6902: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Role {
    #[default]
    ControlPlane,
    Worker,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Mount {
    container_path: String,
    host_path: String,
    read_only: bool,
    // Nodes run without SELinux's labels, so there is nothing to change on the host.
    #[serde(rename = "selinuxRelabel")]
    _selinux_relabel: bool,
    propagation: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct PortMapping {
    container_port: u16,
    host_port: u16,
    listen_address: Option<String>,
    protocol: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Networking {
    ip_family: Option<String>,
    api_server_port: Option<i64>,
    api_server_address: Option<String>,
    pod_subnet: Option<String>,
    service_subnet: Option<String>,
    #[serde(rename = "disableDefaultCNI")]
    disable_default_cni: bool,
    kube_proxy_mode: Option<String>,
    dns_search: Option<Value>,
}

/// What kind names the images of its nodes.
const IMAGE_TAG: char = ':';

/// Collects what skiff does not have, with lines.
struct Reading<'a> {
    text: &'a str,
    faults: Vec<Fault>,
    notes: Vec<String>,
}

impl Reading<'_> {
    fn refuse(&mut self, key: &str, why: &str) {
        self.faults.push(Fault { line: line_of(self.text, key), message: format!("{key}: {why}") });
    }

    fn refuse_if(&mut self, there: bool, key: &str, why: &str) {
        if there {
            self.refuse(key, why);
        }
    }
}

/// Why patches of kubeadm's configuration are refused.
const PATCHES: &str = "skiff writes kubeadm's configuration itself; settings of single parts go into extraConfig of a \
                       skiff file, as in `apiserver.max-requests-inflight=100`";

pub(super) fn read(text: &str) -> Result<Manifest, ManifestError> {
    let file: File = serde_yaml::from_str(text)?;
    let mut reading = Reading { text, faults: Vec::new(), notes: Vec::new() };
    reading.refuse_if(file.kubeadm_config_patches.is_some(), "kubeadmConfigPatches", PATCHES);
    reading.refuse_if(file.kubeadm_config_patches_json6902.is_some(), "kubeadmConfigPatchesJSON6902", PATCHES);
    for (there, key) in [
        (file.containerd_config_patches.is_some(), "containerdConfigPatches"),
        (file.containerd_config_patches_json6902.is_some(), "containerdConfigPatchesJSON6902"),
    ] {
        reading.refuse_if(there, key, "containerd's configuration is part of skiff's node image");
    }
    let mut spec = SpecFile::default();
    nodes(&file.nodes, &mut spec, &mut reading);
    networking(&file.networking, &mut spec, &mut reading);
    let gates: Vec<String> = file.feature_gates.iter().map(|(name, on)| format!("{name}={on}")).collect();
    spec.feature_gates = (!gates.is_empty()).then_some(gates);
    let apis: Vec<String> = file.runtime_config.iter().map(|(name, Text(on))| format!("{name}={on}")).collect();
    if !apis.is_empty() {
        spec.extra_config.get_or_insert_default().push(format!("apiserver.runtime-config={}", apis.join(",")));
    }
    if !reading.faults.is_empty() {
        return Err(faulty(reading.faults));
    }
    Ok(Manifest { name: file.name, spec, addons: None, notes: reading.notes })
}

fn nodes(nodes: &[Node], spec: &mut SpecFile, reading: &mut Reading<'_>) {
    let planes = nodes.iter().filter(|node| node.role == Role::ControlPlane).count();
    match planes {
        0 if nodes.is_empty() => {}
        0 => reading.refuse("nodes", "a cluster needs a control plane"),
        1 => {}
        3 => spec.ha = Some("true".to_owned()),
        count => reading.refuse("nodes", &format!("{count} control planes: skiff makes 1 or 3")),
    }
    if nodes.len() > 1 {
        spec.nodes = Some(nodes.len().to_string());
    }
    let images: BTreeSet<&str> = nodes.iter().filter_map(|node| node.image.as_deref()).collect();
    let versions: BTreeSet<Option<String>> = images.into_iter().map(version).collect();
    match (versions.len(), versions.into_iter().next().flatten()) {
        (0, _) => {}
        (1, Some(version)) => spec.kubernetes_version = Some(version),
        (1, None) => {
            reading.refuse("image", "no Kubernetes version can be read from it: skiff makes its own node images")
        }
        _ => reading.refuse("image", "nodes of different versions: skiff makes all of one version"),
    }
    let (mut ports, mut mounts) = (Vec::new(), Vec::new());
    for (word, node) in named(nodes) {
        reading.refuse_if(node.kubeadm_config_patches.is_some(), "kubeadmConfigPatches", PATCHES);
        reading.refuse_if(node.kubeadm_config_patches_json6902.is_some(), "kubeadmConfigPatchesJSON6902", PATCHES);
        let of_node = |text: String| format!("{word}:{text}");
        mounts.extend(node.extra_mounts.iter().filter_map(|mount| mounted(mount, reading)).map(of_node));
        ports.extend(node.extra_port_mappings.iter().filter_map(|port| published(port, reading)).map(of_node));
    }
    spec.ports = (!ports.is_empty()).then_some(ports);
    spec.mounts = (!mounts.is_empty()).then_some(mounts);
    labels(nodes, spec);
}

/// The nodes with what skiff calls them: its control planes come first.
fn named(nodes: &[Node]) -> impl Iterator<Item = (String, &Node)> {
    let of = |role: Role| nodes.iter().filter(move |node| node.role == role);
    let ordered = of(Role::ControlPlane).chain(of(Role::Worker));
    ordered.enumerate().map(|(at, node)| (format!("m{:02}", at + 1), node))
}

/// Labels that all nodes have are the cluster's.
fn labels(nodes: &[Node], spec: &mut SpecFile) {
    let common = |label: &(&String, &String)| nodes.iter().all(|node| node.labels.get(label.0) == Some(label.1));
    let text = |(name, value): (&String, &String)| format!("{name}={value}");
    let mut all: Vec<String> =
        nodes.first().into_iter().flat_map(|node| node.labels.iter().filter(common).map(text)).collect();
    for (word, node) in named(nodes) {
        all.extend(node.labels.iter().filter(|label| !common(label)).map(|label| format!("{word}:{}", text(label))));
    }
    spec.node_labels = (!all.is_empty()).then_some(all);
}

fn mounted(mount: &Mount, reading: &mut Reading<'_>) -> Option<String> {
    if let Some(other) = mount.propagation.as_deref().filter(|word| !matches!(*word, "" | "None")) {
        reading.refuse("propagation", &format!("`{other}`: mounts that come later do not show on the other side"));
        return None;
    }
    // As kind has it, a path without a beginning counts from where the command is given.
    let host = std::path::absolute(&mount.host_path).ok().filter(|_| !mount.host_path.is_empty());
    let Some(host) = host.filter(|_| !mount.container_path.is_empty()) else {
        reading.refuse("extraMounts", "name both hostPath and containerPath");
        return None;
    };
    Some(format!("{}:{}{}", host.display(), mount.container_path, if mount.read_only { ":ro" } else { "" }))
}

/// `kindest/node:v1.20.2@sha256:…` → `v1.20.2`.
fn version(image: &str) -> Option<String> {
    let name = image.split('@').next()?;
    let tag = name.rsplit('/').next()?.split_once(IMAGE_TAG)?.1;
    let digits = tag.strip_prefix('v')?;
    digits.starts_with(|digit: char| digit.is_ascii_digit()).then(|| tag.to_owned())
}

fn published(port: &PortMapping, reading: &mut Reading<'_>) -> Option<String> {
    if port.host_port == 0 || port.container_port == 0 {
        reading.refuse("extraPortMappings", "name both hostPort and containerPort: they stay the same for life");
        return None;
    }
    let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
    let listen = match port.listen_address.as_deref() {
        None | Some("") => String::new(),
        Some(address) if address.contains(':') => format!("[{address}]:"),
        Some(address) => format!("{address}:"),
    };
    Some(format!("{listen}{}:{}/{protocol}", port.host_port, port.container_port))
}

fn networking(from: &Networking, spec: &mut SpecFile, reading: &mut Reading<'_>) {
    reading.refuse_if(from.dns_search.is_some(), "dnsSearch", "nodes search where the host does");
    if from.api_server_port.is_some_and(|port| port > 0) {
        reading.notes.push("apiServerPort is left out: skiff chooses a port of the host, and keeps it".to_owned());
    }
    match from.kube_proxy_mode.as_deref() {
        None | Some("iptables") => {}
        Some("none") => reading.refuse("kubeProxyMode", "`none`: skiff's clusters have kube-proxy"),
        Some(mode) => spec.extra_config.get_or_insert_default().push(format!("kube-proxy.mode={mode}")),
    }
    spec.ip_family = from.ip_family.clone().filter(|family| !family.is_empty());
    spec.cni = from.disable_default_cni.then(|| "none".to_owned());
    spec.listen_address.clone_from(&from.api_server_address);
    spec.pod_network_cidr.clone_from(&from.pod_subnet);
    spec.service_cluster_ip_range.clone_from(&from.service_subnet);
}
