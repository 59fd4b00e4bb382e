//! The cluster that addons are for.

use skiff_addons::Context;
use skiff_config::{ClusterFile, ClusterSpec, NodeName, Phase};
use skiff_driver::{Driver, MachineState};

use crate::{
    ClusterError, ConnectApi, Host, access,
    host::{api_error, driver_error},
    node_spec,
    nodes::control_planes,
    pause,
};

/// A cluster that runs.
pub(super) struct Target<A> {
    /// Its API, which is this node's.
    pub(super) api: A,
    pub(super) node: NodeName,
    /// What manifests need to know.
    pub(super) context: Context,
}

/// The stored cluster, and what it shall be. One that never came to life is none.
pub(super) fn load<D, C, K>(
    host: &Host<D, C, K>,
    name: &skiff_config::ClusterName,
) -> Result<(ClusterFile, ClusterSpec), ClusterError> {
    let file = host.load(name)?;
    if file.status.phase == Phase::Creating {
        return Err(ClusterError::NotFound(name.clone()));
    }
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    Ok((file, spec))
}

/// The running cluster, by the first of its control planes that runs; `None` if it is off.
pub(super) async fn reach<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
) -> Result<Option<Target<K::Api>>, ClusterError> {
    let name = &spec.name;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let one = |state| {
        control_planes(file).find(|record| live.iter().any(|node| node.name == record.name && node.state == state))
    };
    let control_plane = match (one(MachineState::Running), one(MachineState::Paused)) {
        (Some(runs), _) if !pause::freezes_api(&host.store, name)? => runs,
        (None, None) => return Ok(None),
        _ => return Err(ClusterError::AddonPaused(name.clone())),
    };
    let Some(access) = access::access(&host.store, name, spec.listen_address, control_plane)? else { return Ok(None) };
    let api = host.api.client(&access).map_err(api_error)?;
    Ok(Some(Target { api, node: control_plane.name.clone(), context: context(file, spec) }))
}

/// What manifests need to know of a cluster.
pub(crate) fn context(file: &ClusterFile, spec: &ClusterSpec) -> Context {
    let first = file.status.nodes.first();
    let address = first.map_or(std::net::Ipv4Addr::UNSPECIFIED, |node| node.address);
    // A node's network is the one around it, where nothing else is known.
    let around = || ipnet::Ipv4Net::new_assert(address, 24).trunc();
    let node_network = file.status.subnet.unwrap_or_else(around);
    let endpoint = node_spec::endpoint(spec);
    Context {
        kubernetes: spec.kubernetes_version.clone(),
        agent: first.map(|node| node.agent.clone()).unwrap_or_default(),
        domain: spec.dns_domain.clone(),
        dns_ip: spec.cluster_dns_ip(),
        service_network: spec.service_cidr,
        pod_network: spec.pod_cidr,
        api_host: endpoint.host,
        api_port: endpoint.port,
        node_gateway: node_network.hosts().next().unwrap_or(address),
        node_network,
    }
}
