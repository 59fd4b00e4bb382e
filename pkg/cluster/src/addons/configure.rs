//! Settings of an addon.

use skiff_config::ClusterName;
use skiff_driver::Driver;

use super::{AddonReport, AddonRequest, change::Change, enable::enable, wanted::settable};
use crate::{ClusterError, ConnectApi, Host};

/// Stores settings of addons; those that are enabled take them over at once.
///
/// # Errors
/// No such cluster or addon, settings that cannot be (all of them), or an addon that does not work with
/// them: it keeps those it had then.
pub async fn configure_addon<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError> {
    let mut change = Change::begin(host, cluster).await?;
    let catalog = &*host.catalog;
    if request.names.iter().any(|name| catalog.is_enabled(name, &change.file.addons)) {
        return enable(change, request).await;
    }
    let mut wishes = Vec::new();
    for name in &request.names {
        let mut wish = change.file.addons.get(name).cloned().unwrap_or_default();
        request.settings.lay_over(&mut wish, name, true);
        settable(catalog.find(name)?, &wish)?;
        wishes.push((name.clone(), wish));
    }
    let report = change.store(wishes)?;
    // What is off takes nothing over yet.
    Ok(AddonReport { stored: true, ..report })
}
