//! Addons: what can be switched on in a cluster, and how it gets there and away again.
//!
//! [`Catalog`] holds the entries of `/addons`, built in, and of catalogs that the user added. An
//! [`Addon`] renders into objects for one cluster ([`Rendered`]). [`Manager`] brings them into the
//! cluster and out of it; an [`Inventory`] in the cluster says what belongs to whom. Which addons are
//! wanted is the cluster's profile's to say and not known here.

mod catalog;
mod entry;
mod error;
mod inventory;
mod manager;
mod objects;
mod order;
mod render;

pub use catalog::{Catalog, Retired, Source, Sources};
pub use entry::{Addon, Image, Open, Reference, Value};
pub use error::AddonError;
pub use inventory::Inventory;
pub use manager::{Left, Manager, Verdict};
pub use objects::Objects;
pub use order::in_order;
pub use render::{Context, Rendered, SettingsProblem};
