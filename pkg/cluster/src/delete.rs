//! Delete: nothing is left, whatever is left of the cluster.

use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use skiff_config::{ClusterName, Phase};
use skiff_driver::Driver;
use skiff_report::Event;

use crate::{
    ClusterError, DeleteReport, Host, auto_pause::end_auto_pause, host::driver_error, kubeconfig,
    schedule::cancel_scheduled_stop, services,
};

/// A start that was cut off longer ago has nothing left to come.
const RECENT: Duration = Duration::from_secs(15);
/// How long a driver may take for what it was asked last.
const BELATED: Duration = Duration::from_secs(2);

/// Removes a cluster: machines, data, network, files, kubeconfig entries. Works from labels alone
/// when the profile is lost or damaged, and may be repeated.
///
/// # Errors
/// When the driver, the files or the kubeconfig fail; running it again picks up where it ended.
pub async fn delete<D: Driver, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<DeleteReport, ClusterError> {
    let _lock = host.lock(name).await?;
    if begun_just_now(host, name) {
        tokio::time::sleep(BELATED).await;
    }
    let report = remove(host, name).await?;
    // Else the next `start` without a name would make it again.
    if host.store.active_profile()?.as_deref() == Some(name.as_str()) {
        host.store.set_active_profile(None)?;
    }
    Ok(report)
}

/// True if a start of this moment was cut off. What it asked the driver for in its last moment may come
/// about yet, and nobody sees it before.
fn begun_just_now<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> bool {
    // A damaged profile is no reason to leave anything: its cluster goes without it.
    let Ok(Some(file)) = host.store.load(name) else { return false };
    let created = file.status.created.as_deref().and_then(crate::clock::parse);
    // A clock that was set back meanwhile is as good as one that stood still.
    let age = created.map(|created| SystemTime::now().duration_since(created).unwrap_or_default());
    file.status.phase == Phase::Creating && age.is_some_and(|age| age < RECENT)
}

/// [`delete`] for a caller that holds the lock.
pub(crate) async fn remove<D: Driver, C, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<DeleteReport, ClusterError> {
    let stage = |number, name: &'static str, message: String| {
        host.reporter.report(Event::Stage { number, total: 3, name, message });
    };
    stage(0, "Deleting", format!("Deleting cluster `{name}`"));
    services::end_tunnel(host, name).await;
    let machines = remove_machines(host, name).await?;
    // A kubeconfig that somebody broke keeps no files here; it is told about when they are gone.
    let entry = kubeconfig::remove(host, name);
    let profile = host.store.profile_dir(name).exists();
    cancel_scheduled_stop(&host.store, name)?;
    end_auto_pause(&host.store, name)?;
    // The files go last: as long as they are there, the cluster can be found and deleted again.
    host.store.remove(name)?;
    let entry = entry?;
    let existed = machines || entry || profile;
    if existed {
        stage(3, "Done", format!("Removed all traces of cluster `{name}`"));
    }
    Ok(DeleteReport { existed })
}

/// Removes the machines with their data and the network. True if there was a machine.
pub(crate) async fn remove_machines<D: Driver, C, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<bool, ClusterError> {
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    try_join_all(live.iter().map(async |node| {
        host.reporter.report(Event::Stage {
            number: 1,
            total: 3,
            name: "Stopping",
            message: format!("Removing node {}", node.name),
        });
        host.driver.delete(name, &node.name, false).await.map_err(driver_error)
    }))
    .await?;
    host.driver.delete_remains(name).await.map_err(driver_error)?;
    Ok(!live.is_empty())
}
