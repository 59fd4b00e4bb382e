//! From what is asked of addons to what is wanted of each, with those they require. Pure.

use std::collections::BTreeMap;

use skiff_addons::{Addon, AddonError, Catalog};
use skiff_config::{AddonWish, ClusterSpec};

use super::AddonRequest;

/// An addon to be enabled.
pub(super) struct Wanted<'a> {
    pub(super) addon: &'a Addon,
    pub(super) wish: AddonWish,
    /// The addon that requires it, if nobody asked for it.
    pub(super) because: Option<String>,
}

/// The addons asked for, those they require, and those that something is set of, with all that is
/// wished of each.
///
/// # Errors
/// All that is wrong with the request.
pub(super) fn wanted<'a>(
    catalog: &'a Catalog,
    wishes: &BTreeMap<String, AddonWish>,
    request: &AddonRequest,
    spec: &ClusterSpec,
) -> Result<Vec<Wanted<'a>>, AddonError> {
    let mut choice = Choice { catalog, wishes, request, wanted: Vec::new(), problems: Vec::new() };
    for name in &request.names {
        choice.add_with_required(name);
    }
    choice.add_those_set();
    let Choice { wanted, mut problems, .. } = choice;
    problems.extend(wanted.iter().filter_map(|it| problem_of(it.addon, &it.wish, spec)));
    AddonError::all(problems)?;
    Ok(wanted)
}

/// Whether a cluster's version of Kubernetes is one that an addon works on.
pub(crate) fn supported(addon: &Addon, spec: &ClusterSpec) -> Result<(), AddonError> {
    if addon.supports(&spec.kubernetes_version) {
        return Ok(());
    }
    let (addon, range) = (addon.name.clone(), addon.kubernetes());
    Err(AddonError::Version { addon, range, version: spec.kubernetes_version.to_string() })
}

/// Refuses settings that an addon does not take: all that are wrong.
pub(super) fn settable(addon: &Addon, wish: &AddonWish) -> Result<(), AddonError> {
    let problems = addon.problems(wish);
    if problems.is_empty() { Ok(()) } else { Err(AddonError::Settings { addon: addon.name.clone(), problems }) }
}

fn problem_of(addon: &Addon, wish: &AddonWish, spec: &ClusterSpec) -> Option<AddonError> {
    supported(addon, spec).and_then(|()| settable(addon, wish)).err()
}

/// Addons that are being chosen, and what is wrong so far.
struct Choice<'a, 'r> {
    catalog: &'a Catalog,
    wishes: &'r BTreeMap<String, AddonWish>,
    request: &'r AddonRequest,
    wanted: Vec<Wanted<'a>>,
    problems: Vec<AddonError>,
}

impl<'a> Choice<'a, '_> {
    fn find(&mut self, name: &str) -> Option<&'a Addon> {
        self.catalog.find(name).map_err(|error| self.problems.push(error)).ok()
    }

    fn add_with_required(&mut self, name: &str) {
        let Some(addon) = self.find(name) else { return };
        for required in self.catalog.requirements(addon) {
            let there = self.catalog.is_enabled(&required, self.wishes) || self.request.names.contains(&required);
            if !there && let Some(required) = self.find(&required) {
                self.add(required, Some(name.to_owned()));
            }
        }
        self.add(addon, None);
    }

    fn add(&mut self, addon: &'a Addon, because: Option<String>) {
        let name = &addon.name;
        if self.wanted.iter().any(|it| it.addon.name == *name) {
            return;
        }
        let mut wish = AddonWish { enabled: Some(true), ..self.wishes.get(name).cloned().unwrap_or_default() };
        self.request.settings.lay_over(&mut wish, name, self.request.names.contains(name));
        self.wanted.push(Wanted { addon, wish, because });
    }

    /// Something may be set as well of addons that are on already.
    fn add_those_set(&mut self) {
        for name in self.request.settings.addons() {
            if self.wanted.iter().any(|it| it.addon.name == name) || self.request.names.iter().any(|it| it == name) {
                continue;
            }
            match self.find(name) {
                Some(addon) if self.catalog.is_enabled(name, self.wishes) => self.add(addon, None),
                Some(_) => self.problems.push(AddonError::Off { addon: name.to_owned() }),
                None => {}
            }
        }
        let for_all = self.request.settings.for_all().filter(|_| self.request.names.is_empty());
        self.problems.extend(for_all.map(|setting| AddonError::Nameless { setting: setting.to_string() }));
    }
}
