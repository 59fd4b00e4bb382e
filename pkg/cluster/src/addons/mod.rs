//! Addons of a cluster: what is wanted of them is stored in its profile, and brought into the cluster
//! at once if it runs, else at its next start.

mod at_start;
mod change;
mod configure;
mod disable;
mod enable;
mod list;
mod request;
mod status;
mod target;
mod wanted;

pub(crate) use at_start::{AtStart, Refused, want};
pub use configure::configure_addon;
pub use disable::disable_addons;
pub use enable::enable_addons;
pub use list::{AddonListing, ListedImage, list_addons};
pub use request::{AddonReport, AddonRequest, AddonSetting, AddonSettings};
pub use status::{AddonState, addon_states};
pub(crate) use target::context;
