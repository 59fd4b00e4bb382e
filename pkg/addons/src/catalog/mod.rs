//! All addons there are: those built in and those of catalogs that the user added.

mod external;
mod fetch;
mod retired;

use std::collections::{BTreeMap, btree_map::Entry};

use skiff_config::AddonWish;

pub use self::{
    external::{Source, Sources},
    retired::Retired,
};
use crate::{Addon, AddonError, entry};

/// Every YAML file of `/addons`, by its path there.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));
/// Where the built-in entries lie in the repository.
const PLACE: &str = "addons";
/// How much alike names must be to be meant.
const ALIKE: f64 = 0.8;

/// The addons.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    addons: BTreeMap<String, Addon>,
    retired: BTreeMap<String, Retired>,
    broken: Vec<String>,
}

impl Catalog {
    /// What is built in.
    ///
    /// # Errors
    /// Everything that is wrong with the entries.
    pub fn built_in() -> Result<Self, AddonError> {
        let mut catalog = Self::from_files(PLACE, FILES.iter().copied())?;
        let text = FILES.iter().find(|(path, _)| *path == retired::FILE).map_or("", |(_, text)| text);
        catalog.retired = retired::read(text)?;
        Ok(catalog)
    }

    /// A catalog from its files: `<addon>/<file>`, each with its text.
    ///
    /// # Errors
    /// Everything that is wrong with the entries.
    pub(crate) fn from_files<'a>(
        place: &str,
        files: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, AddonError> {
        let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (path, text) in files {
            if let Some((folder, file)) = path.split_once('/') {
                folders.entry(folder).or_default().insert(file, text);
            }
        }
        let (mut addons, mut problems) = (BTreeMap::new(), Vec::new());
        for (folder, files) in &folders {
            match entry::read(&format!("{place}/{folder}"), folder, files) {
                Ok(addon) => {
                    addons.insert(addon.name.clone(), addon);
                }
                Err(wrong) => problems.extend(wrong),
            }
        }
        if problems.is_empty() { Ok(Self { addons, ..Self::default() }) } else { Err(AddonError::Entries { problems }) }
    }

    /// All addons, by name.
    pub fn addons(&self) -> impl Iterator<Item = &Addon> {
        self.addons.values()
    }

    /// The addon of that name.
    ///
    /// # Errors
    /// When there is none: what to use instead, or names that are like it.
    pub fn find(&self, name: &str) -> Result<&Addon, AddonError> {
        if let Some(addon) = self.addons.get(name) {
            return Ok(addon);
        }
        if let Some(retired) = self.retired.get(name) {
            return Err(AddonError::Retired { name: name.to_owned(), retired: retired.clone() });
        }
        let near = nearest(name, self.addons.keys().map(String::as_str));
        Err(AddonError::Unknown { name: name.to_owned(), near })
    }

    /// Whether an addon is on, by what was asked of it and its own default.
    #[must_use]
    pub fn is_enabled(&self, name: &str, wishes: &BTreeMap<String, AddonWish>) -> bool {
        let asked = wishes.get(name).and_then(|wish| wish.enabled);
        asked.unwrap_or_else(|| self.addons.get(name).is_some_and(|addon| addon.default))
    }

    /// The addons that are on, by what was asked and their own defaults.
    #[must_use]
    pub fn enabled(&self, wishes: &BTreeMap<String, AddonWish>) -> Vec<&Addon> {
        self.addons.values().filter(|addon| self.is_enabled(&addon.name, wishes)).collect()
    }

    /// An addon's requirements, and theirs, without itself; those that nothing is known of included.
    #[must_use]
    pub fn requirements(&self, addon: &Addon) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut left = addon.requires.clone();
        while let Some(name) = left.pop() {
            if name == addon.name || found.contains(&name) {
                continue;
            }
            left.extend(self.addons.get(&name).into_iter().flat_map(|addon| addon.requires.clone()));
            found.push(name);
        }
        found.reverse();
        found
    }

    /// Adds the catalogs that the user added. One that cannot be used keeps nobody from using the
    /// others; [`broken`](Self::broken) tells.
    pub fn add_sources(&mut self, sources: &Sources) {
        let list = sources.list().unwrap_or_else(|error| {
            self.broken.push(skiff_report::chain(&error));
            Vec::new()
        });
        for source in list {
            match sources.load(&source) {
                Ok(other) => self.add(other, &source.name),
                Err(error) => self.broken.push(skiff_report::chain(&error)),
            }
        }
    }

    /// What keeps catalogs from being used.
    #[must_use]
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Adds the entries of another catalog. Names that are taken stay what they are.
    fn add(&mut self, other: Self, name: &str) {
        for (addon_name, addon) in other.addons {
            match self.addons.entry(addon_name) {
                Entry::Occupied(taken) => {
                    let taken = taken.key();
                    self.broken.push(format!("addon `{taken}` of catalog `{name}` is left out: there is one already"));
                }
                Entry::Vacant(free) => {
                    free.insert(Addon { catalog: Some(name.to_owned()), ..addon });
                }
            }
        }
    }
}

/// The names that are most like a word, the likest first.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut rated: Vec<(f64, &str)> = names
        .map(|name| {
            let part = if word.len() > 2 && (name.contains(word) || word.contains(name)) { 0.9 } else { 0.0 };
            (strsim::jaro_winkler(word, name).max(part), name)
        })
        .filter(|(alike, _)| *alike > ALIKE)
        .collect();
    rated.sort_by(|one, other| other.0.total_cmp(&one.0));
    rated.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests;
