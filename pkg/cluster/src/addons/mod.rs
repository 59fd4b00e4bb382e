//! Addons of a cluster: what is wanted of them is stored in its profile, and brought into the cluster
//! at once if it runs, else at its next start.

mod at_start;
mod configure;
mod disable;
mod enable;
mod list;
mod status;
mod target;

use std::{collections::BTreeMap, time::Duration};

pub(crate) use at_start::{AtStart, want};
pub use configure::configure_addon;
pub use disable::disable_addons;
pub use enable::enable_addons;
pub use list::{AddonListing, list_addons};
pub use status::{AddonState, addon_states};
pub(crate) use target::context;

/// What is asked of addons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonRequest {
    /// Which.
    pub names: Vec<String>,
    /// Values to set, by name; they stay set until they are set otherwise.
    pub values: BTreeMap<String, String>,
    /// Other images, by the name the addon has for them.
    pub images: BTreeMap<String, String>,
    /// Other registries, likewise.
    pub registries: BTreeMap<String, String>,
    /// Take over what belongs to others.
    pub force: bool,
    /// Make the pods of addons that are there already anew.
    pub refresh: bool,
    /// How long to wait until they work.
    pub patience: Duration,
}

/// The end of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonReport {
    /// What was changed, in order.
    pub changed: Vec<String>,
    /// True if the cluster is off, and the change comes with its next start.
    pub stored: bool,
}
