//! Addons out.

use skiff_addons::{AddonError, Catalog, Inventory, Manager, Objects};
use skiff_config::{AddonWish, ClusterFile, ClusterName};
use skiff_driver::Driver;

use super::{AddonReport, AddonRequest, change::Change, target::Target};
use crate::{ClusterError, ConnectApi, Host};

/// Disables addons. What they left in the cluster goes, and nothing else. An addon that is not enabled
/// is no error. In a cluster that is off the wish is stored. Once begun, what is cut off is finished by
/// the next call, or by the cluster's next start.
///
/// # Errors
/// No such cluster or addon, others that require one of them, or objects that do not go.
pub async fn disable_addons<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError> {
    let mut change = Change::begin(host, cluster).await?;
    let (catalog, file) = (&*host.catalog, &change.file);
    let inventories = match &change.target {
        Some(target) => Manager::new(&target.api, request.patience).inventories().await?,
        None => Vec::new(),
    };
    let unknown = request.names.iter().filter_map(|name| known(catalog, file, &inventories, name).err());
    AddonError::all(unknown.collect())?;
    if !request.force {
        needed(catalog, file, &request.names)?;
    }
    let wishes: Vec<(String, AddonWish)> =
        request.names.iter().map(|name| (name.clone(), wish_of(file, name))).collect();
    let off = |(name, wish): &(String, AddonWish)| (name.clone(), AddonWish { enabled: Some(false), ..wish.clone() });
    let report = change.store(wishes.iter().map(off).collect())?;
    if let Some(target) = &change.target {
        change.while_it_runs(target, take_out(target, catalog, &inventories, &wishes, request)).await?;
    }
    Ok(report)
}

/// Takes addons out of a cluster that runs.
async fn take_out<A: Objects>(
    target: &Target<A>,
    catalog: &Catalog,
    inventories: &[Inventory],
    wishes: &[(String, AddonWish)],
    request: &AddonRequest,
) -> Result<(), AddonError> {
    let manager = Manager::new(&target.api, request.patience);
    for (name, wish) in wishes {
        let mut inventory = inventories.iter().find(|inventory| inventory.addon == *name).cloned();
        if inventory.is_none()
            && let Ok(rendered) = catalog.find(name).and_then(|addon| addon.render(wish, &target.context))
        {
            inventory = manager.recognise(&rendered).await?;
        }
        let _ = manager.disable(name, inventory.as_ref()).await?;
    }
    Ok(())
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
