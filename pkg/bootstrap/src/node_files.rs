//! Everything bootstrap wants in a node before its first start.

use std::{fmt, time::SystemTime};

use skiff_config::Cni;

use crate::{
    BootstrapError, ClusterConfig, NodeConfig, cni,
    kubeconfig::NodeKubeconfigs,
    pki::{ClusterPki, NodeCertificates, PkiFile, issue_kubelet_server},
    render,
};

/// Where kubeadm's configuration lies in a node.
pub const KUBEADM_CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";

/// A file of a node; its owner is root.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub contents: Vec<u8>,
}

impl NodeFile {
    fn new(path: impl Into<String>, mode: u32, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, contents: contents.into() }
    }

    fn pki(file: PkiFile) -> Self {
        Self::new(format!("/etc/kubernetes/pki/{}", file.path), file.mode(), file.text)
    }
}

impl fmt::Debug for NodeFile {
    /// Contents may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeFile({} {:o}, {} bytes)", self.path, self.mode, self.contents.len())
    }
}

/// The files of a node, with newly issued certificates: sorted by path, nothing of it below folders
/// that are volumes or empty at each start.
///
/// A worker gets the cluster's certificate, but no authority's key.
///
/// # Errors
/// [`BootstrapError`] for settings that fit no document and for certificates that cannot be made.
pub fn node_files(
    cluster: &ClusterConfig,
    node: &NodeConfig,
    pki: &ClusterPki,
    now: SystemTime,
) -> Result<Vec<NodeFile>, BootstrapError> {
    let mut files = Vec::new();
    let authorities = pki.to_files().into_iter();
    if node.role.is_control_plane() {
        files.extend(authorities.map(NodeFile::pki));
        let leaves = NodeCertificates::issue(cluster, node, pki, now)?;
        files.extend(leaves.to_files().into_iter().map(NodeFile::pki));
    } else {
        files.extend(authorities.filter(|file| file.path == "ca.crt").map(NodeFile::pki));
    }
    files.extend(issue_kubelet_server(cluster, node, pki, now)?.map(NodeFile::pki));
    for (name, text) in NodeKubeconfigs::issue(cluster, node, pki, now)?.files() {
        files.push(NodeFile::new(format!("/etc/kubernetes/{name}"), 0o600, text));
    }
    // It holds the token for joining.
    files.push(NodeFile::new(KUBEADM_CONFIG, 0o600, render::kubeadm_config(cluster, node)?));
    if cluster.spec.cni == Cni::Bridge {
        files.push(NodeFile::new(cni::CONFLIST, 0o644, cni::conflist(node)));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
