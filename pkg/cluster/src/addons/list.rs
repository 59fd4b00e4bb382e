//! All addons, as the profile tells them.

use skiff_addons::{Addon, Catalog, Image, Reference};
use skiff_config::{AddonWish, ClusterName};
use skiff_store::Store;

use crate::ClusterError;

/// skiff-agent's image, where there is no cluster that would have one of its own.
const AGENT: &str = "skiff.local/skiff-agent";

/// One addon, and what is wanted of it.
#[derive(Debug, Clone)]
pub struct AddonListing {
    /// The addon.
    pub addon: Addon,
    /// Whether it is on; absent if there is no such cluster.
    pub enabled: Option<bool>,
    /// What was asked of it.
    pub wish: AddonWish,
    /// Its images.
    pub images: Vec<ListedImage>,
}

/// An image of an addon in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// The name the addon has for it.
    pub name: String,
    /// The registry it comes from unless another is asked for; empty if none is named.
    pub registry: String,
    /// Path, tag and digest.
    pub image: String,
    /// What pods get: all of it, with what was asked for.
    pub used: String,
    /// True if every node has it, so that it is never pulled.
    pub preloaded: bool,
}

/// All addons of the catalog, and whether they are on in a cluster. Works without one.
///
/// # Errors
/// When the profile is damaged.
pub fn list_addons(store: &Store, catalog: &Catalog, cluster: &ClusterName) -> Result<Vec<AddonListing>, ClusterError> {
    let file = store.load(cluster)?;
    let agent = file.as_ref().and_then(|file| file.status.nodes.first()).map_or(AGENT, |node| &node.agent);
    let listing = |addon: &Addon| {
        let wish = file.as_ref().and_then(|file| file.addons.get(&addon.name).cloned()).unwrap_or_default();
        AddonListing {
            addon: addon.clone(),
            enabled: file.as_ref().map(|file| catalog.is_enabled(&addon.name, &file.addons)),
            images: addon.images.iter().map(|image| listed(addon, image, &wish, agent)).collect(),
            wish,
        }
    };
    Ok(catalog.addons().map(listing).collect())
}

fn listed(addon: &Addon, image: &Image, wish: &AddonWish, agent: &str) -> ListedImage {
    let reference = image.reference.clone().or_else(|| Reference::parse(agent).ok());
    let used = addon.image(&image.name, wish, agent).unwrap_or_default();
    ListedImage {
        name: image.name.clone(),
        registry: reference.as_ref().and_then(Reference::registry).unwrap_or_default().to_owned(),
        image: reference.as_ref().map(Reference::rest).unwrap_or_default().to_owned(),
        preloaded: image.preloaded
            && addon.image(&image.name, &AddonWish::default(), agent).is_some_and(|it| it == used),
        used,
    }
}
