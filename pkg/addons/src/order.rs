//! Which addon comes before which.

use std::collections::{BTreeMap, BTreeSet};

use crate::Addon;

/// Addons in groups: all of a group may be applied at once, after the groups before it. What stands
/// in a circle comes last, all at once.
#[must_use]
pub fn in_order<'a>(addons: &[&'a Addon]) -> Vec<Vec<&'a Addon>> {
    let mut left: BTreeMap<&str, &Addon> = addons.iter().map(|addon| (addon.name.as_str(), *addon)).collect();
    let mut groups = Vec::new();
    while !left.is_empty() {
        let waits =
            |addon: &Addon| addon.requires.iter().chain(&addon.after).any(|name| left.contains_key(name.as_str()));
        let mut next: BTreeSet<&str> = left.iter().filter(|(_, addon)| !waits(addon)).map(|(name, _)| *name).collect();
        if next.is_empty() {
            next = left.keys().copied().collect();
        }
        groups.push(next.iter().filter_map(|name| left.remove(name)).collect());
    }
    groups
}
