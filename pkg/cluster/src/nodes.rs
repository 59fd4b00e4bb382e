//! The way into a node.

use std::{net::SocketAddr, time::Duration};

use skiff_config::{ClusterFile, ClusterName, NodeName, NodeRecord};
use skiff_driver::{Driver, MachineState, NodeRole};
use skiff_runner::{Connect, SshTarget};
use skiff_store::Store;

use crate::{ClusterError, Host, host::driver_error, identity};

/// How long a machine that was just started may take until its sshd answers, however slow the host. One
/// that ends meanwhile is noticed.
pub(crate) const BOOT_PATIENCE: Duration = Duration::from_mins(4);
/// How long a node that runs may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a node's sshd answers and what opens it.
pub(crate) fn ssh_target(store: &Store, cluster: &ClusterName, address: SocketAddr, host_key: String) -> SshTarget {
    SshTarget { address, user: "root".to_owned(), key: store.profile_dir(cluster).join(identity::SSH_KEY), host_key }
}

/// How to log in to a running node with ssh; `node` absent means the first.
///
/// # Errors
/// When there is no such cluster or node, or it does not run or is frozen.
pub async fn login<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    node: Option<&str>,
) -> Result<SshTarget, ClusterError> {
    let file = host.load(cluster)?;
    let record = record(&file, node)?;
    let state = state(host, cluster, record).await?;
    if state == Some(MachineState::Paused) {
        return Err(ClusterError::Paused(cluster.clone()));
    }
    let running = state == Some(MachineState::Running);
    let key = identity::host_key(&host.store, cluster, &record.name)?;
    let Some(key) = key.filter(|_| running) else { return Err(ClusterError::NotRunning(cluster.clone())) };
    let endpoints = host.driver.endpoints(cluster, &record.name).await.map_err(driver_error)?;
    Ok(ssh_target(&host.store, cluster, endpoints.ssh, key))
}

/// Connects to a running node.
///
/// # Errors
/// As for [`login`], and when its sshd does not answer.
pub async fn runner<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    node: Option<&str>,
) -> Result<C::Runner, ClusterError> {
    let target = login(host, cluster, node).await?;
    Ok(host.connect.connect(&target, PATIENCE).await?)
}

/// Connects to a node whose machine runs, or is about to.
///
/// # Errors
/// When the node was never made, its machine is off, or its sshd does not answer.
pub(crate) async fn connect<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    node: &NodeName,
    patience: Duration,
) -> Result<C::Runner, ClusterError> {
    let key = identity::host_key(&host.store, cluster, node)?;
    let key = key.ok_or_else(|| ClusterError::NotRunning(cluster.clone()))?;
    let endpoints = host.driver.endpoints(cluster, node).await.map_err(driver_error)?;
    Ok(host.connect.connect(&ssh_target(&host.store, cluster, endpoints.ssh, key), patience).await?)
}

/// The nodes that run a control plane, the first one first.
pub(crate) fn control_planes(file: &ClusterFile) -> impl Iterator<Item = &NodeRecord> {
    file.status.nodes.iter().filter(|record| NodeRole::parse(&record.role) == Some(NodeRole::ControlPlane))
}

/// A node's address; of the first one if `node` is absent.
///
/// # Errors
/// When there is no such cluster or node, or it does not run.
pub async fn address<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    node: Option<&str>,
) -> Result<std::net::Ipv4Addr, ClusterError> {
    let file = host.load(cluster)?;
    let record = record(&file, node)?;
    match state(host, cluster, record).await? {
        Some(MachineState::Running | MachineState::Paused) => Ok(record.address),
        _ => Err(ClusterError::NotRunning(cluster.clone())),
    }
}

/// The record of a node by its name, or by the short form `m02`.
pub(crate) fn record<'a>(file: &'a ClusterFile, node: Option<&str>) -> Result<&'a NodeRecord, ClusterError> {
    let cluster = &file.metadata.name;
    let named = |record: &&NodeRecord| node.is_none_or(|node| cluster.calls(record.name.as_str(), node));
    file.status.nodes.iter().find(named).ok_or_else(|| match node {
        None => ClusterError::NotRunning(cluster.clone()),
        Some(node) => ClusterError::NoSuchNode { cluster: cluster.clone(), node: node.to_owned() },
    })
}

async fn state<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    record: &NodeRecord,
) -> Result<Option<MachineState>, ClusterError> {
    let live = host.driver.list(Some(cluster)).await.map_err(driver_error)?;
    Ok(live.into_iter().find(|node| node.name == record.name).map(|node| node.state))
}
