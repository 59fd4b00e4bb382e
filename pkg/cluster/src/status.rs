//! Status: what machines, kubelets, API server and kubeconfig are doing.

mod trouble;

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use skiff_config::{ClusterFile, ClusterName, ClusterSpec, NodeRecord};
use skiff_driver::{Driver, MachineState, NodeStatus};

use skiff_kubeapi::Access;

use crate::{
    Api, ClusterError, ClusterStatus, ComponentState, ConnectApi, Host, KubeconfigState, NodeReport, access,
    host::driver_error, kubeconfig, pause,
};

/// How long the API server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for one that was paused, so that an answer is not expected.
const PAUSED_PATIENCE: Duration = Duration::from_millis(500);

/// The state of a cluster.
///
/// # Errors
/// When there is no such cluster, its profile is damaged, or the driver does not answer.
pub async fn status<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<ClusterStatus, ClusterError> {
    let file = host.load(name)?;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    status_of(host, &file, &live).await
}

/// The state of a stored cluster whose machines are known.
pub(crate) async fn status_of<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    live: &[NodeStatus],
) -> Result<ClusterStatus, ClusterError> {
    let name = &file.metadata.name;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let records = &file.status.nodes;
    let own = join_all(records.iter().map(|record| own_state(host, &spec, record, live))).await;
    let mut states = own.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Kubelets of workers report to the control planes; without one there is nobody to ask.
    if let Some(at) = states.iter().position(|(apiserver, _)| *apiserver == ComponentState::Running)
        && let Some(access) = access::access(&host.store, name, spec.listen_address, &records[at])?
    {
        let workers = records.iter().zip(&mut states);
        let workers = workers.filter(|(_, state)| **state == (ComponentState::Irrelevant, ComponentState::Running));
        join_all(workers.map(async |(record, state)| {
            // A server that has fallen silent since says nothing of a kubelet.
            if let (ComponentState::Running, kubelet) = components(host, &access, record.name.as_str(), PATIENCE).await
            {
                state.1 = kubelet;
            }
        }))
        .await;
    }
    // Any control plane that works is as good as another.
    let servers: Vec<String> = records
        .iter()
        .zip(&states)
        .filter(|(_, (apiserver, _))| matches!(apiserver, ComponentState::Running | ComponentState::Paused))
        .filter_map(|(record, _)| Some(access::server_url(spec.listen_address, record.apiserver_port?)))
        .collect();
    // So is the one way to all of them, while it leads there.
    let serves = states.iter().position(|(apiserver, _)| *apiserver == ComponentState::Running);
    let entrance = trouble::entrance(host, file, &spec, serves.map(|at| &records[at])).await?;
    let way = file.status.entrance.filter(|_| entrance.is_none());
    let way = way.map(|entrance| access::server_url(spec.listen_address, entrance.port));
    let mut servers = servers.iter().chain(&way);
    let led = servers.any(|server| kubeconfig::leads_to(host, name, server).unwrap_or(false));
    let now = SystemTime::now();
    let mut nodes = Vec::new();
    for (record, (apiserver, kubelet)) in records.iter().zip(states) {
        let machine = live.iter().find(|node| node.name == record.name);
        let worker = record.apiserver_port.is_none();
        let entry = access::access(&host.store, name, spec.listen_address, record)?;
        let kubeconfig = match &entry {
            _ if worker => KubeconfigState::Irrelevant,
            Some(_) if led => KubeconfigState::Configured,
            // One that nobody can read leads nowhere either, and the rest of the state is still worth telling.
            Some(access) if kubeconfig::leads_to(host, name, &access.server).unwrap_or(false) => {
                KubeconfigState::Configured
            }
            _ => KubeconfigState::Misconfigured,
        };
        nodes.push(NodeReport {
            name: record.name.to_string(),
            worker,
            host: machine_state(machine),
            kubelet,
            apiserver,
            kubeconfig,
            address: Some(record.address),
            trouble: match machine {
                Some(machine) if machine.trouble.is_some() => machine.trouble.clone(),
                Some(machine) => {
                    let certificates = trouble::certificates(host, file, &spec, record, machine.state, now)?;
                    certificates.or_else(|| entrance.clone().filter(|_| !worker))
                }
                None => None,
            },
        });
    }
    Ok(ClusterStatus { name: name.clone(), version: spec.kubernetes_version, nodes })
}

/// API server and kubelet of a node, as far as the node itself can tell.
async fn own_state<D, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    spec: &ClusterSpec,
    record: &NodeRecord,
    live: &[NodeStatus],
) -> Result<(ComponentState, ComponentState), ClusterError> {
    let (name, node) = (&spec.name, record.name.as_str());
    let machine = live.iter().find(|machine| machine.name == record.name).map(|machine| machine.state);
    if record.apiserver_port.is_none() {
        let on = machine == Some(MachineState::Running);
        return Ok((ComponentState::Irrelevant, if on { ComponentState::Running } else { ComponentState::Stopped }));
    }
    let entry = access::access(&host.store, name, spec.listen_address, record)?;
    Ok(match (&entry, machine) {
        (Some(access), Some(MachineState::Running)) => match pause::freezes_api(&host.store, name)? {
            true => paused_components(host, access, node).await,
            false => components(host, access, node, PATIENCE).await,
        },
        // A frozen kubelet is as good as one that is off, and minikube's scripts look for that word.
        (_, Some(MachineState::Paused)) => (ComponentState::Paused, ComponentState::Stopped),
        _ => (ComponentState::Stopped, ComponentState::Stopped),
    })
}

fn machine_state(machine: Option<&NodeStatus>) -> ComponentState {
    match machine.map(|node| node.state) {
        Some(MachineState::Running) => ComponentState::Running,
        Some(MachineState::Paused) => ComponentState::Paused,
        Some(MachineState::Stopped | MachineState::Created) => ComponentState::Stopped,
        Some(MachineState::Broken) => ComponentState::Error,
        Some(MachineState::Missing) | None => ComponentState::Nonexistent,
    }
}

/// [`components`] of a node in which the control plane was frozen. One that answers all the same was
/// started again since.
async fn paused_components<D, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    access: &Access,
    node: &str,
) -> (ComponentState, ComponentState) {
    match components(host, access, node, PAUSED_PATIENCE).await {
        (ComponentState::Stopped, kubelet) => (ComponentState::Paused, kubelet),
        answer => answer,
    }
}

/// API server and kubelet of a control plane that runs, both asked of the API server: the kubelet
/// reports to it.
async fn components<D, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    access: &Access,
    node: &str,
    patience: Duration,
) -> (ComponentState, ComponentState) {
    let Ok(api) = host.api.client(access) else { return (ComponentState::Error, ComponentState::Error) };
    match api.node_ready(node, patience).await {
        Ok(true) => (ComponentState::Running, ComponentState::Running),
        Ok(false) => (ComponentState::Running, ComponentState::Stopped),
        Err(_) => (ComponentState::Stopped, ComponentState::Stopped),
    }
}
