//! What an image holds and how it runs.

use std::path::PathBuf;

use serde::Serialize;

/// One image, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageSpec {
    /// Full name with tag, e.g. `registry.k8s.io/pause:3.2`.
    pub(crate) reference: String,
    /// Everything in its one layer, in any order; folders above an entry are added by the writer.
    pub(crate) entries: Vec<Entry>,
    /// How a container of it runs.
    pub(crate) config: RunConfig,
}

/// One file or link of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path without a leading slash.
    pub(crate) path: String,
    /// What is there.
    pub(crate) content: Content,
}

impl Entry {
    /// A program that everybody may run, copied from this host.
    pub(crate) fn program(path: &str, source: impl Into<PathBuf>) -> Self {
        Self::file(path, source, 0o755)
    }

    /// A file copied from this host.
    pub(crate) fn file(path: &str, source: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.to_owned(), content: Content::File { source: source.into(), mode } }
    }

    /// A file with known content.
    pub(crate) fn bytes(path: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { path: path.to_owned(), content: Content::Bytes { bytes: bytes.into(), mode } }
    }

    /// A symbolic link.
    pub(crate) fn link(path: &str, target: &str) -> Self {
        Self { path: path.to_owned(), content: Content::Link(target.to_owned()) }
    }
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A copy of a file on this host. Whoever owns it here, root owns it in the image.
    File {
        /// The file; symbolic links are followed.
        source: PathBuf,
        /// Its permission bits in the image.
        mode: u32,
    },
    /// A file with this content.
    Bytes {
        /// The content.
        bytes: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link to this target.
    Link(String),
}

/// The part of an image's configuration that a container engine acts on, under the names the image
/// specification gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunConfig {
    /// Variables as `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<String>,
    /// Program and first arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) entrypoint: Vec<String>,
    /// Arguments when none are given; the program too if there is no entry point.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cmd: Vec<String>,
    /// User as `uid:gid`; root if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
}
