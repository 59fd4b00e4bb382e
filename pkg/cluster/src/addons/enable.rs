//! Addons in.

use std::collections::BTreeMap;

use skiff_addons::{Addon, Inventory, Manager, Objects, Rendered, in_order};
use skiff_config::ClusterName;
use skiff_driver::Driver;

use super::{
    AddonReport, AddonRequest,
    change::Change,
    target::Target,
    wanted::{Wanted, wanted},
};
use crate::{ClusterError, ConnectApi, Host};

/// Enables addons and what they require. In a cluster that is off the wish is stored. If one of them
/// does not come to life, the cluster and the stored wishes are as before.
///
/// # Errors
/// No such cluster or addon, settings that cannot be (all of them), others' objects in the way
/// (nothing is changed then), or an addon that does not work.
pub async fn enable_addons<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError> {
    enable(Change::begin(host, cluster).await?, request).await
}

/// Likewise, in a change that has begun.
pub(super) async fn enable<D: Driver, C, K: ConnectApi>(
    mut change: Change<'_, D, C, K>,
    request: &AddonRequest,
) -> Result<AddonReport, ClusterError> {
    let host = change.host;
    let wanted = wanted(&host.catalog, &change.file.addons, request, &change.spec)?;
    for (name, why) in wanted.iter().filter_map(|it| Some((&it.addon.name, it.because.as_ref()?))) {
        host.reporter.info(&format!("Enabling {name} as well, which {why} requires"));
    }
    if let Some(target) = &change.target {
        change.while_it_runs(target, bring(target, &wanted, request)).await?;
    }
    change.store(wanted.into_iter().map(|Wanted { addon, wish, .. }| (addon.name.clone(), wish)).collect())
}

/// Brings all that is wanted into a cluster that runs.
async fn bring<A: Objects>(
    target: &Target<A>,
    wanted: &[Wanted<'_>],
    request: &AddonRequest,
) -> Result<(), ClusterError> {
    let mut rendered: BTreeMap<&str, Rendered> = BTreeMap::new();
    for Wanted { addon, wish, .. } in wanted {
        rendered.insert(&addon.name, addon.render(wish, &target.context)?);
    }
    let addons: Vec<&Addon> = wanted.iter().map(|it| it.addon).collect();
    let of = |group: &Vec<&Addon>| group.iter().filter_map(|addon| rendered.get(&*addon.name)).collect::<Vec<_>>();
    let groups: Vec<Vec<&Rendered>> = in_order(&addons).iter().map(of).collect();

    let manager = Manager::new(&target.api, request.patience);
    let before = manager.inventories().await?;
    manager.enable_all(&groups, &before, request.force).await?;
    if request.refresh {
        refresh(&manager, &before, request.names.iter().filter_map(|name| rendered.get(&**name))).await?;
    }
    Ok(())
}

/// Makes pods anew; those of addons that were not there before are new anyway.
async fn refresh<A: Objects>(
    manager: &Manager<'_, A>,
    before: &[Inventory],
    rendered: impl Iterator<Item = &Rendered>,
) -> Result<(), ClusterError> {
    for rendered in rendered.filter(|it| before.iter().any(|inventory| inventory.addon == it.name)) {
        manager.refresh(rendered).await?;
    }
    Ok(())
}
