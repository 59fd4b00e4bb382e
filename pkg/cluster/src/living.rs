//! Finding a control plane that works, and noticing that a machine does no more.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use skiff_config::{ClusterFile, ClusterName, ClusterSpec, NodeName, NodeRecord};
use skiff_driver::{Driver, MachineState};

use crate::{
    Api, ClusterError, ConnectApi, Host, access,
    host::{api_error, driver_error},
    nodes::control_planes,
};

/// How long a control plane may take to say that it works.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the machines.
const LOOK: Duration = Duration::from_secs(3);

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

/// Waits until the machine of one of these nodes is off, or nothing reaches it any more, and tells which. One that
/// is on its way up again by itself is seen so only once.
pub(crate) async fn one_ends<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    nodes: impl Fn() -> BTreeSet<NodeName>,
) -> NodeName {
    let mut off = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        // A driver that does not answer has told of no end.
        let Ok(live) = host.driver.list(Some(cluster)).await else { continue };
        let of_use = |state| !matches!(state, MachineState::Stopped | MachineState::Missing | MachineState::Broken);
        let runs = |node: &NodeName| live.iter().any(|machine| machine.name == *node && of_use(machine.state));
        let ended: BTreeSet<NodeName> = nodes().into_iter().filter(|node| !runs(node)).collect();
        if let Some(node) = ended.intersection(&off).next() {
            return node.clone();
        }
        off = ended;
    }
}
