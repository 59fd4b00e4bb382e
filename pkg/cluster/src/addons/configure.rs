//! Settings of an addon.

use skiff_addons::AddonError;
use skiff_config::ClusterName;
use skiff_driver::Driver;

use super::{AddonReport, AddonRequest, disable::wish_of, enable_addons, target};
use crate::{ClusterError, ConnectApi, Host};

/// Stores settings of one addon; one that is enabled takes them over at once.
///
/// # Errors
/// No such cluster or addon, settings that cannot be (all of them), or an addon that does not work with
/// them: it keeps those it had then.
pub async fn configure_addon<D, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError>
where
    D: Driver,
    K: ConnectApi,
{
    let catalog = &*host.catalog;
    let (file, _) = target::load(host, cluster)?;
    if request.names.iter().any(|name| catalog.is_enabled(name, &file.addons)) {
        return enable_addons(host, cluster, request).await;
    }
    let _lock = host.lock(cluster).await?;
    let (mut file, _) = target::load(host, cluster)?;
    for name in &request.names {
        let addon = catalog.find(name)?;
        let mut wish = wish_of(&file, name);
        wish.values.extend(request.values.clone());
        wish.images.extend(request.images.clone());
        wish.registries.extend(request.registries.clone());
        let problems = addon.problems(&wish);
        if !problems.is_empty() {
            return Err(AddonError::Settings { addon: name.clone(), problems }.into());
        }
        file.addons.insert(name.clone(), wish);
    }
    host.store.save(&file)?;
    Ok(AddonReport { changed: request.names.clone(), stored: true })
}
