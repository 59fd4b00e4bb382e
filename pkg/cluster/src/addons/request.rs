//! What is asked of addons.

use std::{collections::BTreeSet, fmt, time::Duration};

use skiff_config::AddonWish;

/// What is asked of addons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonRequest {
    /// Which.
    pub names: Vec<String>,
    /// What to set of them; it stays set until it is set otherwise.
    pub settings: AddonSettings,
    /// Take over what belongs to others.
    pub force: bool,
    /// Make the pods of addons that are there already anew.
    pub refresh: bool,
    /// How long to wait until they work.
    pub patience: Duration,
}

/// What to set of addons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonSettings {
    /// Values, by name.
    pub values: Vec<AddonSetting>,
    /// Other images, by the name the addon has for them.
    pub images: Vec<AddonSetting>,
    /// Other registries, likewise.
    pub registries: Vec<AddonSetting>,
}

/// Something to set: `KEY=VALUE` of all addons that are named, or `ADDON.KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonSetting {
    /// The addon, if one is named.
    pub addon: Option<String>,
    /// What to set.
    pub name: String,
    /// To what.
    pub value: String,
}

impl AddonSettings {
    /// True if nothing is to be set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = &AddonSetting> {
        self.values.iter().chain(&self.images).chain(&self.registries)
    }

    /// The addons that something is set of by name.
    pub(super) fn addons(&self) -> BTreeSet<&str> {
        self.all().filter_map(|setting| setting.addon.as_deref()).collect()
    }

    /// What is set of no addon by name.
    pub(super) fn for_all(&self) -> impl Iterator<Item = &AddonSetting> {
        self.all().filter(|setting| setting.addon.is_none())
    }

    /// Lays what is set over a wish; `named` if the addon is one of those that settings without a name
    /// are for. What names the addon counts more.
    pub(super) fn lay_over(&self, wish: &mut AddonWish, addon: &str, named: bool) {
        let AddonWish { values, images, registries, .. } = wish;
        for (settings, map) in [(&self.values, values), (&self.images, images), (&self.registries, registries)] {
            let for_all = settings.iter().filter(|setting| named && setting.addon.is_none());
            let own = settings.iter().filter(|setting| setting.addon.as_deref() == Some(addon));
            map.extend(for_all.chain(own).map(|setting| (setting.name.clone(), setting.value.clone())));
        }
    }
}

impl fmt::Display for AddonSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addon = self.addon.iter().map(|addon| format!("{addon}.")).collect::<String>();
        write!(f, "{addon}{}={}", self.name, self.value)
    }
}

/// The end of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonReport {
    /// What was changed, in order.
    pub changed: Vec<String>,
    /// True if the cluster is off, and the change comes with its next start.
    pub stored: bool,
}
