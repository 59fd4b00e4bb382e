//! What a start would do, from the files alone.

use std::collections::BTreeMap;

use skiff_addons::Catalog;
use skiff_config::{AddonWish, ClusterFile, ClusterName, ClusterSpec, Phase, SpecFile};
use skiff_driver::Capabilities;
use skiff_store::Store;

use super::{begin, plan};
use crate::{ClusterError, StartOptions, StartRequest, addons};

/// What there is of a cluster before its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// What a start that was cut off left behind.
    Leftovers,
    /// A cluster that was usable once.
    Cluster,
}

/// What a start would work with.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// What there is.
    pub before: Before,
    /// The cluster's driver: its own, else the one that was asked for, which may be `auto`.
    pub driver: String,
    /// What the cluster would be.
    pub spec: ClusterSpec,
    /// Settings that are not skiff's own choice, by name.
    pub settings: BTreeMap<String, String>,
    /// Settings of an existing cluster that would change, by name: from and to.
    pub changes: BTreeMap<String, (String, String)>,
    /// Requests that would be left out: the setting, what was asked, what it stays.
    pub left_out: Vec<(&'static str, String, String)>,
    /// Addons that would be enabled.
    pub addons: Vec<String>,
}

impl Preview {
    /// Checks what is asked against what the host can give.
    ///
    /// # Errors
    /// When it cannot give that.
    pub fn fits(&self, host: &Capabilities) -> Result<(), ClusterError> {
        begin::fits(&self.spec, host)
    }
}

/// Tells what a start would work with, and changes nothing.
///
/// # Errors
/// When the request cannot be carried out, with all the problems of its settings, or the profile is
/// damaged.
pub fn preview(store: &Store, catalog: &Catalog, request: StartRequest) -> Result<Preview, ClusterError> {
    let StartRequest { name, given, defaults, options } = request;
    let stored = store.load(&name)?;
    let before = match &stored {
        None => Before::Nothing,
        Some(file) if file.status.phase == Phase::Creating => Before::Leftovers,
        Some(_) => Before::Cluster,
    };
    let mut wanted =
        plan::resolve(&name, stored, given, defaults).map_err(|error| with_addons(error, &name, catalog, &options))?;
    let on = |wish: &AddonWish| wish.enabled == Some(true);
    let enabled = wanted.file.addons.clone();
    addons::want(&mut wanted.file, &wanted.spec, catalog, &options)?;
    let new = wanted.file.addons.iter().filter(|(name, wish)| on(wish) && !enabled.get(*name).is_some_and(on));
    let new = new.map(|(name, _)| name.clone()).collect();
    let own = |(key, (value, _)): (String, (String, String))| (key, value);
    let turned = |(key, (to, from)): (String, (String, String))| (key, (from, to));
    let changes = wanted.previous.map(|previous| wanted.file.spec.real_differences(&previous)).unwrap_or_default();
    Ok(Preview {
        before,
        driver: wanted.file.status.driver.clone().unwrap_or_else(|| wanted.spec.driver.clone()),
        settings: wanted.file.spec.differences(&SpecFile::default()).into_iter().map(own).collect(),
        changes: changes.into_iter().map(turned).collect(),
        left_out: wanted.refused.into_iter().map(|left| (left.setting, left.wanted, left.kept)).collect(),
        addons: new,
        spec: wanted.spec,
    })
}

/// Adds what is wrong with the addons that are asked for to what is wrong with the other settings.
fn with_addons(error: ClusterError, name: &ClusterName, catalog: &Catalog, options: &StartOptions) -> ClusterError {
    let ClusterError::Settings { mut problems } = error else { return error };
    let mut usual = ClusterFile::new(name.clone(), SpecFile::default());
    if let Ok(spec) = usual.to_spec()
        && let Err(ClusterError::Settings { problems: more }) = addons::want(&mut usual, &spec, catalog, options)
    {
        problems.extend(more);
    }
    ClusterError::Settings { problems }
}
