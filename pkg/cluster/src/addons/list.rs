//! All addons, as the profile tells them.

use skiff_addons::{Addon, Catalog};
use skiff_config::{AddonWish, ClusterName};
use skiff_store::Store;

use crate::ClusterError;

/// One addon, and what is wanted of it.
#[derive(Debug, Clone)]
pub struct AddonListing {
    /// The addon.
    pub addon: Addon,
    /// Whether it is on; absent if there is no such cluster.
    pub enabled: Option<bool>,
    /// What was asked of it.
    pub wish: AddonWish,
}

/// All addons of the catalog, and whether they are on in a cluster. Works without one.
///
/// # Errors
/// When the profile is damaged.
pub fn list_addons(store: &Store, catalog: &Catalog, cluster: &ClusterName) -> Result<Vec<AddonListing>, ClusterError> {
    let file = store.load(cluster)?;
    let listing = |addon: &Addon| AddonListing {
        addon: addon.clone(),
        enabled: file.as_ref().map(|file| catalog.is_enabled(&addon.name, &file.addons)),
        wish: file.as_ref().and_then(|file| file.addons.get(&addon.name).cloned()).unwrap_or_default(),
    };
    Ok(catalog.addons().map(listing).collect())
}
