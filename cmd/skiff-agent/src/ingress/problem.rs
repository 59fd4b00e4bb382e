//! What is wrong with an object, in words for whoever wrote it.

use std::fmt;

use kube::Resource;

use super::objects::Id;

/// The object that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject {
    /// The group and version.
    pub(crate) api_version: String,
    /// The kind.
    pub(crate) kind: String,
    /// Namespace and name.
    pub(crate) id: Id,
    /// The unique id.
    pub(crate) uid: String,
}

impl Subject {
    /// Tells which object is meant.
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            id: Id::of(object),
            uid: object.meta().uid.clone().unwrap_or_default(),
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// With what.
    pub(crate) subject: Subject,
    /// In one word.
    pub(crate) reason: &'static str,
    /// In one sentence.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.subject.kind, self.subject.id, self.message)
    }
}
