//! The way to a cluster that runs.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use skiff_config::{ClusterFile, ClusterName};
use skiff_driver::{Driver, MachineState};
use tokio::time::sleep;

use crate::{
    Api, ClusterError, ConnectApi, Host, access,
    host::{api_error, driver_error},
    pause::freezes_api,
};

/// How long an API server that runs may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often whoever leads to a cluster looks whether it is still there.
pub(super) const LOOK: Duration = Duration::from_secs(3);

/// What it takes to reach services.
pub(super) struct Reach<A> {
    /// The cluster's API.
    pub(super) api: A,
    /// The address of a node, if this host can reach it.
    pub(super) node: Option<Ipv4Addr>,
    /// The addresses of all nodes.
    pub(super) nodes: Arc<[IpAddr]>,
}

/// Connects to a cluster.
///
/// # Errors
/// When there is no such cluster, it is off or paused, or its API does not answer.
pub(super) async fn reach<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<Reach<K::Api>, ClusterError> {
    let file = host.load(name)?;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let running = running(host, &file).await?;
    let record =
        file.status.nodes.iter().find(|node| running.contains(&node.name.as_str()) && node.apiserver_port.is_some());
    let not_running = || ClusterError::NotRunning(name.clone());
    let record = record.ok_or_else(not_running)?;
    let access = access::access(&host.store, name, spec.listen_address, record)?.ok_or_else(not_running)?;
    let api = host.api.client(&access).map_err(api_error)?;
    if let Err(error) = api.ready(PATIENCE).await {
        let paused = freezes_api(&host.store, name)?;
        return Err(if paused { ClusterError::Paused(name.clone()) } else { api_error(error) });
    }
    let capabilities = match host.capabilities {
        Some(capabilities) => capabilities,
        None => host.driver.check().await.map_err(driver_error)?,
    };
    let nodes = file.status.nodes.iter().map(|node| IpAddr::V4(node.address)).collect();
    Ok(Reach { api, node: capabilities.routable_nodes.then_some(record.address), nodes })
}

/// Returns when a cluster is off, paused or gone, with what is to be said of it: ports that lead to it are of no use then.
pub async fn cluster_away<D: Driver, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> ClusterError {
    loop {
        sleep(LOOK).await;
        let looked = match host.load(name) {
            Ok(file) => running(host, &file).await.map(drop),
            Err(error) => Err(error),
        };
        // Other failures, as of a driver that does not answer, say nothing of the cluster.
        let Err(error) = looked else { continue };
        if matches!(error, ClusterError::NotFound(_) | ClusterError::NotRunning(_) | ClusterError::Paused(_)) {
            return error;
        }
    }
}

/// The names of the nodes that run.
///
/// # Errors
/// When none does: the cluster is gone, off or paused.
pub(super) async fn running<'a, D: Driver, C, K>(
    host: &Host<D, C, K>,
    file: &'a ClusterFile,
) -> Result<Vec<&'a str>, ClusterError> {
    let name = &file.metadata.name;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let of_state = |state: MachineState| live.iter().filter(move |node| node.state == state);
    let names = file.status.nodes.iter().map(|record| record.name.as_str());
    let running: Vec<&str> =
        names.filter(|name| of_state(MachineState::Running).any(|node| node.name.as_str() == *name)).collect();
    match running.is_empty() {
        true if of_state(MachineState::Paused).next().is_some() => Err(ClusterError::Paused(name.clone())),
        true => Err(ClusterError::NotRunning(name.clone())),
        false => Ok(running),
    }
}
