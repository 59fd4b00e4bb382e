//! One addon of a catalog, as its `addon.yaml` describes it.

mod check;
mod file;
mod image;
mod kind;

use std::collections::BTreeMap;

use semver::VersionReq;
use skiff_config::KubeVersion;
use skiff_kubeapi::Condition;

pub(crate) use check::read;
pub(crate) use image::check_registry;
pub use image::{Image, Reference};
pub(crate) use kind::Kind;

/// The name that manifests know skiff-agent's image by.
pub(crate) const AGENT: &str = "agent";

/// An addon.
#[derive(Debug, Clone)]
pub struct Addon {
    /// Its name.
    pub name: String,
    /// What it is for, in one line.
    pub description: String,
    /// Who answers for it.
    pub maintainer: String,
    /// Where to read on.
    pub docs: String,
    /// The catalog it comes from; absent for those that are built in.
    pub catalog: Option<String>,
    /// On unless it is disabled.
    pub default: bool,
    /// Addons it cannot do without.
    pub requires: Vec<String>,
    /// Addons that are applied before it, if they are enabled.
    pub after: Vec<String>,
    /// Its images.
    pub images: Vec<Image>,
    /// What can be set.
    pub values: Vec<Value>,
    /// What `addons open` leads to.
    pub open: Option<Open>,
    /// What proves that it works.
    pub(crate) ready: Vec<Condition>,
    pub(crate) templates: Vec<Template>,
    pub(crate) kubernetes: VersionReq,
}

/// Something that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What counts when it is not set; absent if nothing does.
    pub default: Option<String>,
    pub(crate) kind: Kind,
}

impl Value {
    /// What it takes, in words: `port`, `one of a, b`.
    #[must_use]
    pub fn takes(&self) -> String {
        self.kind.to_string()
    }

    /// Whether it takes this text; else why not.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check(&self, text: &str) -> Result<(), String> {
        // Nothing is what an optional value is without being set.
        if text.is_empty() && self.default.is_none() { Ok(()) } else { self.kind.check(text) }
    }
}

/// A service that people look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Name or number of its port; the first if absent.
    pub port: Option<String>,
    /// The path to begin at.
    pub path: String,
}

/// A file of manifests.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Path for people, e.g. `addons/ingress/ingress.yaml`.
    pub(crate) file: String,
    pub(crate) text: String,
    /// Only if this value is set to something.
    pub(crate) when: Option<String>,
    /// Only on these versions.
    pub(crate) kubernetes: Option<VersionReq>,
}

impl Addon {
    /// True if it works on this version of Kubernetes.
    #[must_use]
    pub fn supports(&self, version: &KubeVersion) -> bool {
        within(&self.kubernetes, version)
    }

    /// The versions of Kubernetes it works on.
    #[must_use]
    pub fn kubernetes(&self) -> String {
        self.kubernetes.to_string()
    }

    /// What counts where nothing is set.
    pub(crate) fn defaults(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|value| (value.name.clone(), value.default.clone().unwrap_or_default())).collect()
    }
}

/// Whether a version is in a range. A pre-release counts as the release it leads to.
pub(crate) fn within(range: &VersionReq, version: &KubeVersion) -> bool {
    range.matches(&semver::Version::new(1, version.minor(), version.patch()))
}
