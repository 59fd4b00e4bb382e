//! Addons out.

use skiff_addons::{AddonError, Catalog, Inventory, Manager};
use skiff_config::{AddonWish, ClusterFile, ClusterName};
use skiff_driver::Driver;

use super::{AddonReport, AddonRequest, target};
use crate::{ClusterError, ConnectApi, Host};

/// Disables addons. What they left in the cluster goes, and nothing else. An addon that is not enabled
/// is no error. In a cluster that is off the wish is stored.
///
/// # Errors
/// No such cluster or addon, others that require one of them, or objects that do not go.
pub async fn disable_addons<D, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError>
where
    D: Driver,
    K: ConnectApi,
{
    let catalog = &*host.catalog;
    let _lock = host.lock(cluster).await?;
    let (mut file, spec) = target::load(host, cluster)?;
    let target = target::reach(host, &file, &spec).await?;
    let mut inventories = Vec::new();
    if let Some(target) = &target {
        inventories = Manager::new(&target.api, request.patience).inventories().await?;
    }
    for name in &request.names {
        known(catalog, &file, &inventories, name)?;
    }
    if !request.force {
        needed(catalog, &file, &request.names)?;
    }
    if let Some(target) = &target {
        let manager = Manager::new(&target.api, request.patience);
        for name in &request.names {
            let mut inventory = inventories.iter().find(|inventory| inventory.addon == *name).cloned();
            if inventory.is_none()
                && catalog.is_enabled(name, &file.addons)
                && let Ok(addon) = catalog.find(name)
            {
                let rendered = addon.render(&wish_of(&file, name), &target.context)?;
                inventory = manager.recognise(&rendered).await?;
            }
            let _ = manager.disable(name, inventory.as_ref()).await?;
        }
    }
    for name in &request.names {
        let wish = AddonWish { enabled: Some(false), ..wish_of(&file, name) };
        file.addons.insert(name.clone(), wish);
    }
    host.store.save(&file)?;
    Ok(AddonReport { changed: request.names.clone(), stored: target.is_none() })
}

pub(super) fn wish_of(file: &ClusterFile, name: &str) -> AddonWish {
    file.addons.get(name).cloned().unwrap_or_default()
}

/// An addon whose catalog is gone can still be disabled.
fn known(catalog: &Catalog, file: &ClusterFile, inventories: &[Inventory], name: &str) -> Result<(), AddonError> {
    let there = file.addons.contains_key(name) || inventories.iter().any(|inventory| inventory.addon == name);
    if there { Ok(()) } else { catalog.find(name).map(drop) }
}

/// Refuses to take away what addons stand on that stay.
fn needed(catalog: &Catalog, file: &ClusterFile, names: &[String]) -> Result<(), ClusterError> {
    let staying = || catalog.enabled(&file.addons).into_iter().filter(|addon| !names.contains(&addon.name));
    for name in names.iter().filter(|name| catalog.is_enabled(name, &file.addons)) {
        let by: Vec<String> =
            staying().filter(|addon| addon.requires.contains(name)).map(|addon| addon.name.clone()).collect();
        if !by.is_empty() {
            return Err(ClusterError::AddonNeeded { addon: name.clone(), by });
        }
    }
    Ok(())
}
