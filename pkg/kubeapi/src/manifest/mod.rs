//! Manifests as the API server gets them: read like Go programs read YAML, in the order in which
//! objects need each other.

mod defaults;
mod kinds;
mod read;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use kinds::{Place, Rank};
pub(crate) use read::read;

/// One object to apply or delete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// `apiVersion`, e.g. `apps/v1`.
    pub(crate) version: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its namespace, where one is written.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) body: Value,
}

impl Manifest {
    /// Kind, namespace and name, for people.
    pub(crate) fn title(&self) -> String {
        let Self { kind, name, .. } = self;
        match &self.namespace {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }

    /// The API group; empty for the core.
    pub(crate) fn group(&self) -> &str {
        self.version.split_once('/').map_or("", |(group, _)| group)
    }

    /// When its turn is.
    pub(crate) fn rank(&self) -> Rank {
        Rank::of(self.group(), &self.kind)
    }

    /// Where it lives, for kinds that are part of Kubernetes.
    pub(crate) fn place(&self) -> Option<Place> {
        kinds::builtin(self.group(), &self.kind)
    }

    /// The path of its collection.
    pub(crate) fn path(&self, place: &Place) -> String {
        let root = if self.group().is_empty() { "/api" } else { "/apis" };
        let Self { version, .. } = self;
        let Place { plural, namespaced } = place;
        if *namespaced {
            let namespace = self.namespace.as_deref().unwrap_or("default");
            format!("{root}/{version}/namespaces/{namespace}/{plural}")
        } else {
            format!("{root}/{version}/{plural}")
        }
    }
}
