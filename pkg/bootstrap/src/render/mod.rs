//! kubeadm's configuration, for every Kubernetes minor from 1.20 to 1.37.
//!
//! Pure functions from [`ClusterConfig`] and [`NodeConfig`] to YAML. One module a document;
//! [`ApiVersion`] holds what differs between the versions of kubeadm's own API.

mod api;
mod args;
mod cluster;
mod document;
mod field_path;
mod flags;
mod gates;
mod kube_proxy;
mod kubelet;
mod node;

pub use api::ApiVersion;
pub use args::KubeadmArgs;
pub(crate) use document::to_yaml;
pub use gates::ignored_gates;

use crate::{BootstrapError, ClusterConfig, NodeConfig, Role, pki::CaPin};

/// The file to give to kubeadm on this node: for `kubeadm init` on the first control plane, for
/// `kubeadm join` on any other. `ca` is the pin of the cluster's certificate authority.
///
/// # Errors
/// [`BootstrapError::ExtraConfig`] for settings that fit no document.
pub fn kubeadm_config(cluster: &ClusterConfig, node: &NodeConfig, ca: &CaPin) -> Result<String, BootstrapError> {
    match node.role {
        Role::FirstControlPlane => init_config(cluster, node),
        Role::ControlPlane | Role::Worker => document::to_yaml(&[node::join(cluster, node, ca)]),
    }
}

fn init_config(cluster: &ClusterConfig, node: &NodeConfig) -> Result<String, BootstrapError> {
    document::to_yaml(&[
        node::init(cluster, node),
        cluster::configuration(cluster),
        kubelet::configuration(cluster, node)?,
        kube_proxy::configuration(cluster)?,
    ])
}

/// The kubelet's configuration on its own, as kubeadm would write it to `/var/lib/kubelet/config.yaml`.
///
/// # Errors
/// As for [`kubeadm_config`].
pub fn kubelet_config(cluster: &ClusterConfig, node: &NodeConfig) -> Result<String, BootstrapError> {
    document::to_yaml(&[kubelet::configuration(cluster, node)?])
}
