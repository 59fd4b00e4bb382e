//! `--artifacts auto`: the first source that works, said in one line.

use skiff_config::KubeVersion;
use skiff_report::Reporter;

use crate::{ArtifactError, ArtifactSet, ArtifactSource, DebianSource, SourceKind, official};

/// What the user chose with `--artifacts`.
#[derive(Debug, Clone)]
pub enum AnySource {
    /// The cache, else the first source that works.
    Auto(DebianSource),
    /// Debian's source package and nothing else.
    Debian(DebianSource),
}

impl AnySource {
    fn debian(&self) -> &DebianSource {
        match self {
            Self::Auto(source) | Self::Debian(source) => source,
        }
    }
}

impl ArtifactSource for AnySource {
    fn kind(&self) -> SourceKind {
        self.debian().kind()
    }

    fn key(&self, version: &KubeVersion) -> Result<String, ArtifactError> {
        self.debian().key(version)
    }

    fn cached(&self, version: &KubeVersion) -> Result<Option<ArtifactSet>, ArtifactError> {
        self.debian().cached(version)
    }

    async fn check(&self, version: &KubeVersion) -> Result<(), ArtifactError> {
        self.debian().check(version).await
    }

    async fn fetch(&self, version: &KubeVersion, reporter: &dyn Reporter) -> Result<ArtifactSet, ArtifactError> {
        if let Self::Auto(source) = self
            && !source.has_set(version)?
        {
            let (site, _) = official::SITE;
            reporter.info(&if official::answers().await {
                format!("{site} answers, but release downloads are not supported yet: taking Kubernetes {version} from Debian")
            } else {
                format!("{site} does not answer: taking Kubernetes {version} from Debian")
            });
        }
        self.debian().fetch(version, reporter).await
    }
}
