//! What every artifact source answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use skiff_config::KubeVersion;
use skiff_report::Reporter;

use crate::{ArtifactError, ArtifactSet};

/// The programs of Kubernetes that every set holds.
pub const COMPONENTS: [&str; 7] =
    ["kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

/// The kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Downloads from Kubernetes' own sites.
    Official,
    /// Built from Debian's source package.
    Debian,
}

impl SourceKind {
    /// The name, as given to `--artifacts`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::Debian => "debian",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place that Kubernetes' programs can be had from.
pub trait ArtifactSource: Send + Sync {
    /// Which kind of source this is.
    fn kind(&self) -> SourceKind;

    /// Hash of everything the set of a version is made from. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// When this source never has that version.
    fn key(&self, version: &KubeVersion) -> Result<String, ArtifactError>;

    /// The set in the cache, verified; `None` if it has to be fetched first. Reads all of its files.
    ///
    /// # Errors
    /// When the cached set is damaged; a later call answers `None`.
    fn cached(&self, version: &KubeVersion) -> Result<Option<ArtifactSet>, ArtifactError>;

    /// Succeeds if a fetch is likely to. Answers within about 3 s and changes nothing.
    ///
    /// # Errors
    /// The reason why this source cannot deliver.
    fn check(&self, version: &KubeVersion) -> impl Future<Output = Result<(), ArtifactError>> + Send;

    /// The set of a version, from the cache or made now. May run any number of times and in several
    /// processes at once: the work is done once, and an interrupted run is continued by the next.
    ///
    /// # Errors
    /// When the set cannot be obtained.
    fn fetch(
        &self,
        version: &KubeVersion,
        reporter: &dyn Reporter,
    ) -> impl Future<Output = Result<ArtifactSet, ArtifactError>> + Send;
}
