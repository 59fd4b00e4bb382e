//! Addons in.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use skiff_addons::{Addon, AddonError, Catalog, Inventory, Manager, Objects, Rendered, in_order};
use skiff_config::{AddonWish, ClusterName, ClusterSpec};
use skiff_driver::Driver;

use super::{AddonReport, AddonRequest, target};
use crate::{ClusterError, ConnectApi, Host};

/// Enables addons and what they require. In a cluster that is off the wish is stored. If one of them
/// does not come to life, the cluster and the stored wishes are as before.
///
/// # Errors
/// No such cluster or addon, settings that cannot be (all of them), others' objects in the way
/// (nothing is changed then), or an addon that does not work.
pub async fn enable_addons<D, C, K>(
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
    let wanted = wanted(catalog, &file.addons, request, &spec)?;
    for (name, why) in wanted.iter().filter_map(|it| Some((&it.addon.name, it.because.as_ref()?))) {
        host.reporter.info(&format!("Enabling {name} as well, which {why} requires"));
    }
    let target = target::reach(host, &file, &spec).await?;
    if let Some(target) = &target {
        let mut rendered = BTreeMap::new();
        for Wanted { addon, wish, .. } in &wanted {
            rendered.insert(addon.name.as_str(), addon.render(wish, &target.context)?);
        }
        let manager = Manager::new(&target.api, request.patience);
        let before = manager.inventories().await?;
        let addons: Vec<&Addon> = wanted.iter().map(|it| it.addon).collect();
        all_or_none(&manager, &in_order(&addons), &rendered, &before, request.force).await?;
        // Those that were not there before have new pods anyway.
        let old = |name: &String| before.iter().any(|inventory| inventory.addon == *name);
        for name in request.names.iter().filter(|name| request.refresh && old(name)) {
            if let Some(rendered) = rendered.get(name.as_str()) {
                manager.refresh(rendered).await?;
            }
        }
    }
    let mut changed = Vec::new();
    for Wanted { addon, wish, .. } in wanted {
        file.addons.insert(addon.name.clone(), wish);
        changed.push(addon.name.clone());
    }
    host.store.save(&file)?;
    Ok(AddonReport { changed, stored: target.is_none() })
}

/// An addon to be enabled.
pub(super) struct Wanted<'a> {
    pub(super) addon: &'a Addon,
    pub(super) wish: AddonWish,
    /// The addon that requires it, if nobody asked for it.
    pub(super) because: Option<String>,
}

/// The addons asked for and those they require, with all that is wished of each.
pub(super) fn wanted<'a>(
    catalog: &'a Catalog,
    wishes: &BTreeMap<String, AddonWish>,
    request: &AddonRequest,
    spec: &ClusterSpec,
) -> Result<Vec<Wanted<'a>>, AddonError> {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let wish = |name: &str| AddonWish { enabled: Some(true), ..wishes.get(name).cloned().unwrap_or_default() };
    for name in &request.names {
        let addon = catalog.find(name)?;
        let mut own = wish(name);
        own.values.extend(request.values.clone());
        own.images.extend(request.images.clone());
        own.registries.extend(request.registries.clone());
        for required in catalog.requirements(addon) {
            let there = catalog.is_enabled(&required, wishes) || request.names.contains(&required);
            if !there && !wanted.iter().any(|it| it.addon.name == required) {
                let because = Some(name.clone());
                wanted.push(Wanted { addon: catalog.find(&required)?, wish: wish(&required), because });
            }
        }
        if !wanted.iter().any(|it| it.addon.name == *name) {
            wanted.push(Wanted { addon, wish: own, because: None });
        }
    }
    for Wanted { addon, wish, .. } in &wanted {
        supported(addon, spec)?;
        let problems = addon.problems(wish);
        if !problems.is_empty() {
            return Err(AddonError::Settings { addon: addon.name.clone(), problems });
        }
    }
    Ok(wanted)
}

pub(crate) fn supported(addon: &Addon, spec: &ClusterSpec) -> Result<(), AddonError> {
    if addon.supports(&spec.kubernetes_version) {
        return Ok(());
    }
    let (addon, range) = (addon.name.clone(), addon.kubernetes());
    Err(AddonError::Version { addon, range, version: spec.kubernetes_version.to_string() })
}

/// Enables group after group. What was new is taken out again if one fails.
pub(super) async fn all_or_none<A: Objects>(
    manager: &Manager<'_, A>,
    groups: &[Vec<&Addon>],
    rendered: &BTreeMap<&str, Rendered>,
    before: &[Inventory],
    force: bool,
) -> Result<(), ClusterError> {
    let old = |name: &str| before.iter().find(|inventory| inventory.addon == name);
    let mut done: Vec<&str> = Vec::new();
    for group in groups {
        let group: Vec<&Rendered> = group.iter().filter_map(|addon| rendered.get(addon.name.as_str())).collect();
        let work = group.iter().map(|rendered| manager.enable(rendered, old(&rendered.name), force));
        let mut failed = None;
        for (rendered, result) in group.iter().zip(join_all(work).await) {
            match result {
                Ok(()) => done.push(&rendered.name),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let Some(error) = failed else { continue };
        let new = |name: &&&str| old(name).is_none_or(|inventory| !inventory.settled);
        let now = manager.inventories().await?;
        for name in done.iter().rev().filter(new) {
            let _ = manager.disable(name, now.iter().find(|inventory| inventory.addon == **name)).await?;
        }
        return Err(error.into());
    }
    Ok(())
}
