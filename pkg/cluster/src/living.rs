//! Finding a control plane that works.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use skiff_config::{ClusterFile, ClusterSpec, NodeRecord};
use skiff_driver::{Driver, MachineState};

use crate::{
    Api, ClusterError, ConnectApi, Host, access,
    host::{api_error, driver_error},
    nodes::control_planes,
};

/// How long a control plane may take to say that it works.
const PATIENCE: Duration = Duration::from_secs(10);

/// A control plane whose API server is ready, and the way to it. The first node is preferred, so that
/// kubeconfigs do not change without need.
///
/// # Errors
/// When none of them is ready.
pub(crate) async fn control_plane<'a, D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &'a ClusterFile,
    spec: &ClusterSpec,
) -> Result<(&'a NodeRecord, K::Api), ClusterError> {
    let name = &file.metadata.name;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let runs =
        |record: &&NodeRecord| live.iter().any(|node| node.name == record.name && node.state == MachineState::Running);
    let first = control_planes(file).next().map(|record| &record.name);
    let mut asked = FuturesUnordered::new();
    for record in control_planes(file).filter(runs) {
        let Some(access) = access::access(&host.store, name, spec.listen_address, record)? else { continue };
        let api = host.api.client(&access).map_err(api_error)?;
        asked.push(async move {
            let ready = api.ready(PATIENCE).await.is_ok();
            (record, ready.then_some(api))
        });
    }
    let mut found = None;
    while let Some((record, ready)) = asked.next().await {
        match ready {
            Some(api) if Some(&record.name) == first => return Ok((record, api)),
            Some(api) => found = found.or(Some((record, api))),
            None => {}
        }
    }
    found.ok_or_else(|| ClusterError::NotRunning(name.clone()))
}
