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
pub(crate) use kubelet::CRI_SOCKET;

use crate::{BootstrapError, ClusterConfig, NodeConfig, Role, kubeadm::EtcdStart};

/// The file to give to the phases of `kubeadm init` on this node.
///
/// They serve to join a node as well, with certificates and kubeconfigs made by skiff: unlike `kubeadm
/// join` they need no token, ask no API server, and may run again on a node that is known already.
///
/// # Errors
/// [`BootstrapError::ExtraConfig`] for settings that fit no document.
pub fn kubeadm_config(cluster: &ClusterConfig, node: &NodeConfig) -> Result<String, BootstrapError> {
    match node.role {
        Role::FirstControlPlane | Role::ControlPlane => document::to_yaml(&[
            node::init(cluster, node),
            cluster::configuration(cluster, None),
            kubelet::configuration(cluster, node)?,
            kube_proxy::configuration(cluster)?,
        ]),
        Role::Worker => document::to_yaml(&[
            node::init(cluster, node),
            cluster::for_worker(cluster),
            kubelet::configuration(cluster, node)?,
        ]),
    }
}

/// The file for the phase that writes etcd's manifest, where etcd is not to begin alone.
///
/// # Errors
/// As for [`kubeadm_config`].
pub fn etcd_config(cluster: &ClusterConfig, node: &NodeConfig, etcd: &EtcdStart) -> Result<String, BootstrapError> {
    document::to_yaml(&[node::init(cluster, node), cluster::configuration(cluster, Some(etcd))])
}

/// The kubelet's configuration on its own, as kubeadm would write it to `/var/lib/kubelet/config.yaml`.
///
/// # Errors
/// As for [`kubeadm_config`].
pub fn kubelet_config(cluster: &ClusterConfig, node: &NodeConfig) -> Result<String, BootstrapError> {
    document::to_yaml(&[kubelet::configuration(cluster, node)?])
}
