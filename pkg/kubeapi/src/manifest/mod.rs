//! Manifests as the API server gets them: read like Go programs read YAML, in the order in which
//! objects need each other.

mod defaults;
mod kinds;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use kinds::{Place, Rank};
pub(crate) use read::read;

use crate::KubeError;

/// Which object, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apiVersion`, e.g. `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// True if both mean the same object, whatever version of its kind they speak of.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let group = |it: &Self| it.api_version.split_once('/').map(|(group, _)| group.to_owned());
        (&self.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
            && group(self) == group(other)
    }
}

impl fmt::Display for ObjectRef {
    /// Kind, namespace and name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// One object to apply or delete.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
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
    /// The file and the line that it was read from, where there is one.
    pub(crate) origin: Option<String>,
}

impl Manifest {
    /// Reads a file's YAML documents, as Go programs read YAML.
    ///
    /// # Errors
    /// Every document that is no object, each with the file's name and the line.
    pub fn read(file: &str, text: &str) -> Result<Vec<Self>, Vec<KubeError>> {
        read::read_file(file, text)
    }

    /// An object from its parts.
    #[must_use]
    pub fn new(object: ObjectRef, body: Value) -> Self {
        let ObjectRef { api_version, kind, namespace, name } = object;
        Self { version: api_version, kind, namespace, name, body, origin: None }
    }

    /// Which object it is.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.version.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// All of it.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// All of it, to change what does not decide which object it is.
    pub fn body_mut(&mut self) -> &mut Value {
        &mut self.body
    }
}

impl Manifest {
    /// Kind, namespace and name, for people, and where they find it.
    pub(crate) fn title(&self) -> String {
        match &self.origin {
            Some(origin) => format!("{} ({origin})", self.object()),
            None => self.object().to_string(),
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
