//! Further nodes: phases of `kubeadm init` with files of skiff's own, in place of `kubeadm join`.
//!
//! A joining node has its certificates and kubeconfigs already, so there is nothing to ask for and
//! nothing to wait for: the kubelet starts, and registers itself with whoever it finds. All of this
//! may run again, on a node that is known already too, which `kubeadm join` refuses.

use skiff_runner::{Command, Runner};

use super::{
    API_SERVER, CONTROLLER_MANAGER, ETCD, EtcdStart, KUBELET, MARK, SCHEDULER, before_api, phase, run, wanted,
};
use crate::{
    BootstrapError, ClusterConfig, KUBEADM_CONFIG, NodeConfig,
    render::{self, CRI_SOCKET},
};

/// Starts the kubelet of a worker. Returns what kubeadm printed.
///
/// # Errors
/// [`BootstrapError::Kubeadm`] with the cause, [`BootstrapError::Node`] if the node cannot be reached.
pub async fn join_worker<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let command = before_api(&[KUBELET], cluster, node, &EtcdStart::Alone)?;
    run(runner, &joining(node), command).await
}

/// Starts etcd and the kubelet of a further control plane. Returns what kubeadm printed.
///
/// # Errors
/// As for [`join_worker`].
pub async fn join_etcd<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
    etcd: &EtcdStart,
) -> Result<String, BootstrapError> {
    let command = before_api(&[ETCD, KUBELET], cluster, node, etcd)?;
    run(runner, &joining(node), command).await
}

/// Starts the API server of a further control plane. Returns what kubeadm printed.
///
/// # Errors
/// As for [`join_worker`].
pub async fn start_api_server<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let command = before_api(&[API_SERVER], cluster, node, &EtcdStart::Alone)?;
    run(runner, &joining(node), command).await
}

/// Does what a further control plane's own API server must be ready for: starts its companions, and
/// labels the node. Returns what kubeadm printed.
///
/// # Errors
/// As for [`join_worker`].
pub async fn join_control_plane<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let command = before_api(&[CONTROLLER_MANAGER, SCHEDULER, MARK], cluster, node, &EtcdStart::Alone)?;
    run(runner, &joining(node), command).await
}

/// Notes on a registered node what `kubeadm upgrade` looks for.
///
/// # Errors
/// As for [`join_worker`].
pub async fn announce<R: Runner>(runner: &R, node: &NodeConfig) -> Result<String, BootstrapError> {
    let script = format!(
        "nice -n 19 kubectl --kubeconfig /etc/kubernetes/kubelet.conf annotate --overwrite node {} \
         kubeadm.alpha.kubernetes.io/cri-socket={CRI_SOCKET}",
        Command::quote(node.name.as_str())
    );
    run(runner, &joining(node), Command::sh(&script)).await
}

/// Lets controller manager and scheduler of a control plane take turns with others, or no longer:
/// writes their manifests anew after the number of control planes changed. Returns what kubeadm printed.
///
/// # Errors
/// As for [`join_worker`], and [`BootstrapError::ExtraConfig`].
pub async fn take_turns<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    run(runner, "rewriting the manifests", anew(&[CONTROLLER_MANAGER, SCHEDULER], cluster, node)?).await
}

/// Has a kubelet that runs take its configuration over anew; pods go on meanwhile. Returns what
/// kubeadm printed. May run again.
///
/// # Errors
/// As for [`take_turns`].
pub async fn reconfigure_kubelet<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    run(runner, "reconfiguring the kubelet", anew(&[KUBELET], cluster, node)?).await
}

/// Phases with a configuration that is not the one the node was made with.
fn anew(phases: &[&'static str], cluster: &ClusterConfig, node: &NodeConfig) -> Result<Command, BootstrapError> {
    let config = render::kubeadm_config(cluster, node)?;
    let phases = wanted(phases, cluster, node).map(phase).collect::<Vec<_>>().join("\n");
    let script = format!("umask 077; cat > {KUBEADM_CONFIG}.new; mv {KUBEADM_CONFIG}.new {KUBEADM_CONFIG}\n{phases}");
    Ok(Command::sh(&script).stdin(config))
}

fn joining(node: &NodeConfig) -> String {
    format!("joining node {}", node.name)
}
