//! skiff's entries inside a kubeconfig. Pure.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Zoned;
use serde_yaml::{Mapping, Value};

use super::document::{Document, Part, as_mapping};
use crate::KubeError;

/// Marks what skiff made; other tools have theirs in the same place.
const PROVIDER: &str = "skiff.dev";
const EXTENSIONS: &str = "extensions";
const CA: [&str; 2] = ["certificate-authority", "certificate-authority-data"];

/// Certificates and key of a cluster's user.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PEM texts, written into the kubeconfig.
    Embedded {
        /// The certificate authority.
        ca: String,
        /// The client certificate.
        certificate: String,
        /// Its key.
        key: String,
    },
    /// Absolute paths of PEM files.
    Files {
        /// The certificate authority.
        ca: PathBuf,
        /// The client certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// What a kubeconfig shall say about one cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of cluster, user and context.
    pub name: String,
    /// `https://address:port`.
    pub server: String,
    /// Who to be there.
    pub credentials: Credentials,
    /// skiff's version, for the mark that the entry is skiff's.
    pub version: String,
}

impl Credentials {
    /// Key and value of a field, and the key of its other form, which must go.
    fn field(&self, pair: [&'static str; 2], pem: impl Fn(&Self) -> FieldValue) -> Field {
        let [file, data] = pair;
        match pem(self) {
            FieldValue::Pem(text) => Field { key: data, value: BASE64_STANDARD.encode(text), other: Some(file) },
            FieldValue::Path(path) => Field { key: file, value: path, other: Some(data) },
        }
    }

    fn ca(&self) -> Field {
        self.field(CA, |this| match this {
            Self::Embedded { ca, .. } => FieldValue::Pem(ca.clone()),
            Self::Files { ca, .. } => FieldValue::path(ca),
        })
    }

    fn certificate(&self) -> Field {
        self.field(["client-certificate", "client-certificate-data"], |this| match this {
            Self::Embedded { certificate, .. } => FieldValue::Pem(certificate.clone()),
            Self::Files { certificate, .. } => FieldValue::path(certificate),
        })
    }

    fn key(&self) -> Field {
        self.field(["client-key", "client-key-data"], |this| match this {
            Self::Embedded { key, .. } => FieldValue::Pem(key.clone()),
            Self::Files { key, .. } => FieldValue::path(key),
        })
    }
}

enum FieldValue {
    Pem(String),
    Path(String),
}

impl FieldValue {
    fn path(path: &Path) -> Self {
        Self::Path(path.display().to_string())
    }
}

/// One field of an entry.
struct Field {
    key: &'static str,
    value: String,
    other: Option<&'static str>,
}

impl Field {
    fn new(key: &'static str, value: &str) -> Self {
        Self { key, value: value.to_owned(), other: None }
    }

    fn set(self, body: &mut Mapping) {
        if let Some(other) = self.other {
            body.remove(other);
        }
        body.insert(self.key.into(), self.value.into());
    }
}

/// Writes the entry into a document, in place of an older one of skiff's. If the document says all of
/// it already it stays as it is, time stamps included.
pub(super) fn merge(document: &mut Document, path: &Path, entry: &Entry, now: &Zoned) -> Result<(), KubeError> {
    check(document, path, entry)?;
    let mut kept = document.clone();
    write(&mut kept, entry, None, now);
    if kept != *document {
        write(document, entry, Some(now), now);
    }
    Ok(())
}

/// Removes skiff's entries of that name. What lost its mark is taken for somebody else's.
pub(super) fn remove(document: &mut Document, name: &str) {
    for part in Part::ALL {
        document.remove(part, name, |body| mark_of(body).is_some());
    }
}

fn write(document: &mut Document, entry: &Entry, stamp: Option<&Zoned>, now: &Zoned) {
    let Entry { name, server, credentials, version } = entry;
    document.complete();
    // The order of insertion is kubectl's, which is the alphabet's.
    let cluster = document.body_mut(Part::Cluster, name);
    credentials.ca().set(cluster);
    mark(cluster, Part::Cluster, version, stamp, now);
    Field::new("server", server).set(cluster);
    let context = document.body_mut(Part::Context, name);
    Field::new("cluster", name).set(context);
    mark(context, Part::Context, version, stamp, now);
    Field::new("user", name).set(context);
    let user = document.body_mut(Part::User, name);
    credentials.certificate().set(user);
    credentials.key().set(user);
    mark(user, Part::User, version, stamp, now);
}

/// Refuses entries of that name that are not skiff's. An entry without a mark still counts as
/// skiff's if it is about the same certificate authority: other tools drop what they do not know.
pub(super) fn check(document: &Document, path: &Path, entry: &Entry) -> Result<(), KubeError> {
    let name = &entry.name;
    let same_ca = |body: &Mapping| {
        let ca = entry.credentials.ca();
        body.get(ca.key).and_then(Value::as_str) == Some(&ca.value)
    };
    let cluster_is_ours =
        document.body(Part::Cluster, name).is_some_and(|body| mark_of(body).is_some() || same_ca(body));
    for part in Part::ALL {
        let is_ours = document.body(part, name).is_none_or(|body| {
            let leads_to_ours = || match part {
                Part::Cluster | Part::User => true,
                Part::Context => body.get("cluster").and_then(Value::as_str) == Some(name),
            };
            mark_of(body).is_some() || (cluster_is_ours && leads_to_ours())
        });
        if !is_ours {
            return Err(KubeError::KubeconfigTaken { path: path.to_owned(), part: part.word(), name: name.clone() });
        }
    }
    Ok(())
}

/// skiff's mark in a body, if there is one.
fn mark_of(body: &Mapping) -> Option<&Mapping> {
    let extensions = body.get(EXTENSIONS)?.as_sequence()?;
    extensions.iter().find(|item| provider(item) == Some(PROVIDER))?.get("extension")?.as_mapping()
}

/// Whose extension it is.
fn provider(item: &Value) -> Option<&str> {
    item.get("extension")?.get("provider")?.as_str()
}

/// Sets the mark: a new time stamp if one is given, else the one it has.
fn mark(body: &mut Mapping, part: Part, version: &str, stamp: Option<&Zoned>, now: &Zoned) {
    let old = mark_of(body).and_then(|mark| mark.get("last-update")?.as_str()).map(str::to_owned);
    let update = match (stamp, old) {
        (None, Some(old)) => old,
        (stamp, _) => stamp.unwrap_or(now).strftime("%a, %d %b %Y %H:%M:%S %Z").to_string(),
    };
    let pairs = [("last-update", update.as_str()), ("provider", PROVIDER), ("version", version)];
    let content: Mapping = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let extensions = body.entry(EXTENSIONS.into()).or_insert(Value::Null);
    if !extensions.is_sequence() {
        *extensions = Value::Sequence(Vec::new());
    }
    let Value::Sequence(items) = extensions else { return };
    match items.iter_mut().find(|item| provider(item) == Some(PROVIDER)) {
        Some(item) => {
            as_mapping(item).insert("extension".into(), Value::Mapping(content));
        }
        None => {
            let pairs = [("extension", Value::Mapping(content)), ("name", format!("{}_info", part.word()).into())];
            items.push(Value::Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect()));
        }
    }
}
