//! The source `debian`: Kubernetes built from Debian's own source package, on a host that reaches
//! nothing but a Debian mirror.
//!
//! Stages, each a folder of the cache that appears when it is complete: the builder root together
//! with the packed source (the only stage that uses the network), the unpacked source with its
//! generated code, the finished set. Go's build cache is kept, so an interrupted compile continues.

mod apt;
mod build;
mod mirror;
mod recipe;
mod sandbox;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use skiff_config::KubeVersion;
use skiff_report::{Event, Reporter};

use self::build::Build;
pub(crate) use self::{apt::explain, mirror::Mirror};
use crate::{
    ArtifactError, ArtifactSet, ArtifactSource, SourceKind,
    cache::{self, Cache},
    official,
    set::Arch,
    tools,
};

/// How long the mirror may take to accept a connection in a check.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// How long a set is kept that a newer recipe has replaced: an older skiff may still be in use.
const REPLACED_FOR: Duration = Duration::from_hours(7 * 24);

/// Programs of the host that the source calls, with the Debian package of each.
const TOOLS: [(&str, &str); 11] = [
    ("apt-get", "apt"),
    ("apt-config", "apt"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
    ("xargs", "findutils"),
    ("sh", "dash"),
    ("chroot", "coreutils"),
    ("nproc", "coreutils"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
];

/// Which versions the source may give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// Only the version that the source package holds.
    #[default]
    Exact,
    /// Any patch version of the same minor: the same code with another version number, to try
    /// upgrades where no other version can be had.
    AnyPatch,
}

/// Settings of the source `debian`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// Address of a Debian mirror; the one of the host's apt if absent.
    pub mirror: Option<String>,
    /// File with the keys that must have signed the mirror; Debian's own if absent.
    pub keyring: Option<PathBuf>,
    /// Which versions may be given out.
    pub stamp: Stamp,
}

/// The source `debian`.
#[derive(Debug, Clone)]
pub struct DebianSource {
    cache: Cache,
    options: DebianOptions,
}

impl DebianSource {
    /// A source with these settings.
    #[must_use]
    pub fn new(options: DebianOptions) -> Self {
        Self { cache: Cache::new(&options.cache), options }
    }

    /// The builder, if this source has the version.
    fn build(&self, version: &KubeVersion) -> Result<Build, ArtifactError> {
        let (major, minor, patch) = recipe::SOURCE_VERSION;
        let held = KubeVersion::new(major, minor, patch);
        let offered = match self.options.stamp {
            Stamp::Exact => *version == held,
            Stamp::AnyPatch => *version == KubeVersion::new(major, minor, version.patch()),
        };
        if !offered {
            return Err(ArtifactError::VersionNotOffered {
                source_kind: SourceKind::Debian,
                version: version.clone(),
                offered: held.to_string(),
            });
        }
        Ok(Build::new(self.cache.clone(), version.clone(), Arch::host()?))
    }

    /// True if a set is in the cache, verified or not.
    pub(crate) fn has_set(&self, version: &KubeVersion) -> Result<bool, ArtifactError> {
        Ok(ArtifactSet::exists(&self.build(version)?.set()))
    }

    async fn mirror(&self) -> Result<Mirror, ArtifactError> {
        Mirror::find(self.options.mirror.as_deref(), self.options.keyring.as_deref()).await
    }

    /// Verifies the cached set without holding up other tasks.
    async fn open(build: &Build) -> Result<Option<ArtifactSet>, ArtifactError> {
        let folder = build.set();
        tokio::task::spawn_blocking(move || ArtifactSet::open(&folder)).await.map_err(ArtifactError::Aborted)?
    }
}

impl ArtifactSource for DebianSource {
    fn kind(&self) -> SourceKind {
        SourceKind::Debian
    }

    fn key(&self, version: &KubeVersion) -> Result<String, ArtifactError> {
        Ok(self.build(version)?.key())
    }

    fn cached(&self, version: &KubeVersion) -> Result<Option<ArtifactSet>, ArtifactError> {
        ArtifactSet::open(&self.build(version)?.set())
    }

    async fn check(&self, version: &KubeVersion) -> Result<(), ArtifactError> {
        let build = self.build(version)?;
        tools::check(&TOOLS).await?;
        sandbox::check().await?;
        build.require_space()?;
        if build.has_sources() {
            return Ok(());
        }
        let mirror = self.mirror().await?;
        match mirror.address() {
            Some((host, port)) if !official::probe(&host, port, CONNECT_LIMIT).await => {
                let detail = format!("{host}:{port} accepts no connection within {} s", CONNECT_LIMIT.as_secs());
                Err(ArtifactError::MirrorUnreachable { mirror: mirror.shown(), detail })
            }
            _ => Ok(()),
        }
    }

    async fn fetch(&self, version: &KubeVersion, reporter: &dyn Reporter) -> Result<ArtifactSet, ArtifactError> {
        let build = self.build(version)?;
        if let Some(set) = Self::open(&build).await? {
            return Ok(set);
        }
        let doing = format!("building Kubernetes {version}");
        let _lock = self.cache.lock("debian", &doing, reporter).await?;
        // Another process may have finished the work while this one waited.
        if let Some(set) = Self::open(&build).await? {
            return Ok(set);
        }
        // A mirror that does not answer is told in seconds; apt would try for minutes.
        self.check(version).await?;
        let mirror = if build.has_sources() { None } else { Some(self.mirror().await?) };
        build.run(mirror.as_ref(), reporter).await?;
        discard_replaced(&build.set(), &build.key(), reporter);
        ArtifactSet::sealed(&build.set())
    }
}

/// Removes sets of the same version that earlier recipes made, and tells how much room that gives.
fn discard_replaced(set: &Path, key: &str, reporter: &dyn Reporter) {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let kind = name(set).strip_suffix(key).map(str::to_owned);
    // Room is all that is lost where one stays.
    let Ok(old) = cache::old_siblings(set, REPLACED_FOR) else { return };
    let replaced = old.iter().filter(|path| kind.as_ref().is_some_and(|kind| name(path).starts_with(kind.as_str())));
    let freed: u64 = replaced.map(|path| (cache::size(path), cache::remove(path))).map(gone).sum();
    if freed > 0 {
        let megabytes = freed / 1_000_000;
        reporter.report(Event::Info(format!("Removed what earlier skiffs had built of this version ({megabytes} MB)")));
    }
}

/// What a removal freed.
fn gone((size, removed): (u64, Result<(), ArtifactError>)) -> u64 {
    if removed.is_ok() { size } else { 0 }
}

#[cfg(test)]
mod tests {
    use skiff_report::Silent;

    use super::*;
    use crate::set::{self, Identity};

    fn source(cache: &std::path::Path, stamp: Stamp) -> DebianSource {
        DebianSource::new(DebianOptions { cache: cache.to_owned(), mirror: None, keyring: None, stamp })
    }

    fn version(text: &str) -> KubeVersion {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_packaged_version_is_offered_unless_stamps_are_free() {
        let dir = tempfile::tempdir().unwrap();
        let exact = source(dir.path(), Stamp::Exact);
        exact.key(&version("v1.20.2")).unwrap();
        let error = exact.key(&version("v1.20.3")).unwrap_err();
        assert_eq!(error.to_string(), "the artifact source `debian` has Kubernetes v1.20.2, not v1.20.3");
        let free = source(dir.path(), Stamp::AnyPatch);
        assert_ne!(free.key(&version("v1.20.2")).unwrap(), free.key(&version("v1.20.3")).unwrap());
        assert!(free.key(&version("v1.21.0")).is_err());
    }

    #[test]
    fn sets_that_a_newer_recipe_has_replaced_go_after_a_week() {
        let dir = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::now();
        for (name, days) in [
            ("v1.20.2-x-debian-new", 30),
            ("v1.20.2-x-debian-a", 30),
            ("v1.20.2-x-debian-b", 2),
            ("v1.20.3-x-debian-a", 30),
        ] {
            let set = dir.path().join(name);
            std::fs::create_dir(&set).unwrap();
            std::fs::write(set.join("kubelet"), vec![0; 2_000_000]).unwrap();
            std::fs::File::open(&set).unwrap().set_modified(now - Duration::from_hours(days * 24)).unwrap();
        }
        let log = skiff_report::Recorder::default();
        discard_replaced(&dir.path().join("v1.20.2-x-debian-new"), "new", &log);
        let left =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: std::collections::BTreeSet<String> = left.collect();
        let stays = ["v1.20.2-x-debian-b", "v1.20.2-x-debian-new", "v1.20.3-x-debian-a"];
        assert_eq!(left, stays.map(str::to_owned).into());
        assert!(matches!(&log.events()[..], [Event::Info(text)] if text.ends_with("(2 MB)")), "{:?}", log.events());
    }

    #[tokio::test]
    async fn a_cached_set_is_returned_without_any_work() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), Stamp::Exact);
        let build = source.build(&version("v1.20.2")).unwrap();
        set::tests::fill(&build.set());
        let identity = Identity {
            source: SourceKind::Debian,
            version: version("v1.20.2"),
            arch: Arch::host().unwrap(),
            key: build.key(),
            inputs: vec![],
        };
        ArtifactSet::seal(&build.set(), identity).unwrap();
        let set = source.fetch(&version("v1.20.2"), &Silent).await.unwrap();
        assert_eq!(set.key, source.key(&version("v1.20.2")).unwrap());
        assert_eq!(source.cached(&version("v1.20.2")).unwrap(), Some(set));
    }
}
