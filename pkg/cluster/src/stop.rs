//! Stop: machines off, data kept.

use futures_util::future::try_join_all;
use skiff_config::ClusterName;
use skiff_driver::{Driver, MachineState, NodeStatus};
use skiff_report::Event;

use crate::{
    ClusterError, ConnectApi, Host, ServiceApi, StopReport, auto_pause::end_auto_pause, entrance, host::driver_error,
    kubeconfig, schedule::cancel_scheduled_stop, services,
};

/// Stops every node of a cluster, the first one last. A cluster that is off stays so.
///
/// # Errors
/// When there is no such cluster, or the driver fails.
pub async fn stop<D: Driver, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    keep_context_active: bool,
) -> Result<StopReport, ClusterError> {
    let stage = |number, name: &'static str, message: String| {
        host.reporter.report(Event::Stage { number, total: 2, name, message });
    };
    let _lock = host.lock(name).await?;
    services::clear_left_by_tunnel(host, name).await;
    services::end_tunnel(host, name).await;
    // The profile may be damaged: the machines are found by their labels all the same.
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    if live.is_empty() {
        host.load(name)?;
    }
    // Even of a cluster that is stopped by hand before its time.
    cancel_scheduled_stop(&host.store, name)?;
    end_auto_pause(&host.store, name)?;
    let mut stopped = Vec::new();
    let on =
        |node: &&NodeStatus| matches!(node.state, MachineState::Running | MachineState::Paused | MachineState::Broken);
    let (first, others): (Vec<_>, Vec<_>) =
        live.iter().filter(on).partition(|node| node.name.as_str() == name.as_str());
    // The first node last, so that the others can still tell of their pods' end.
    for nodes in [others, first] {
        try_join_all(nodes.iter().map(async |node| {
            stage(0, "Stopping", format!("Stopping node {}", node.name));
            host.driver.stop(name, &node.name).await.map_err(driver_error)?;
            stage(1, "PowerOff", format!("Node {} is off", node.name));
            Ok::<_, ClusterError>(())
        }))
        .await?;
        stopped.extend(nodes.iter().map(|node| node.name.to_string()));
    }
    // A damaged profile tells of none, and `delete` removes it all the same.
    if let Ok(Some(file)) = host.store.load(name) {
        entrance::close(host, &file).await?;
    }
    if !keep_context_active {
        kubeconfig::unset_current(host, name)?;
    }
    let count = stopped.len();
    stage(2, "Done", format!("{count} node{} stopped", if count == 1 { "" } else { "s" }));
    Ok(StopReport { stopped })
}
