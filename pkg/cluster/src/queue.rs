//! The queue of starts: no more at once than the host's processors carry. Four that boot on two
//! processors are all slower than four that boot two by two, and their deadlines pass.

use skiff_config::ClusterName;
use skiff_driver::{Capabilities, Driver, MachineState};
use skiff_store::{Lock, Owner};

use crate::{ClusterError, Host, host::driver_error};

/// Takes a place among the clusters that boot, waiting for one if need be. A cluster whose machines
/// all run has nothing to boot, and needs none.
pub(crate) async fn place<D: Driver, C, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    capabilities: &Capabilities,
) -> Result<Option<Lock>, ClusterError> {
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    if !live.is_empty() && live.iter().all(|node| node.state == MachineState::Running) {
        return Ok(None);
    }
    let places = capabilities.cpus.max(1);
    let waiting = |owners: &[Owner]| {
        let pids: Vec<String> = owners.iter().map(|owner| owner.pid.to_string()).collect();
        host.reporter.info(&format!(
            "Waiting in the queue: {places} cluster{} (process {}) start already, as many as there are processors",
            if places == 1 { "" } else { "s" },
            pids.join(", ")
        ));
    };
    Ok(Some(host.store.place(places, &host.command, waiting).await?))
}
