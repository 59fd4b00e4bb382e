//! Node images in the cache.

use std::{path::PathBuf, time::Duration};

use skiff_report::Reporter;

use super::{
    assemble, base,
    spec::{NodeImageSpec, NodeRootfs, node_image_key},
};
use crate::{
    ArtifactError, ArtifactSet,
    cache::{self, Cache, Lock, make_folder},
    debian::Mirror,
    job::Journal,
    rootfs::recipe,
    tools,
};

const MIB: u64 = 1 << 20;

/// Room that each stage takes at its peak, measured and rounded up.
const BASE_SPACE: u64 = 800 * MIB;
const ROOTFS_SPACE: u64 = 2200 * MIB;

/// How long an image that a newer one has replaced is kept: another process may be about to hand it to a
/// driver.
const YOUNG: Duration = Duration::from_hours(1);

/// Programs of the host that the stages call, with the Debian package of each.
const TOOLS: [(&str, &str); 5] = [
    ("mmdebstrap", "mmdebstrap"),
    ("tar", "tar"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
];

/// What it takes to map a range of user ids, for people without root's rights.
const MAP_TOOLS: [(&str, &str); 2] = [("newuidmap", "uidmap"), ("newgidmap", "uidmap")];

/// Settings of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImageOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// Address of a Debian mirror; the one of the host's apt if absent.
    pub mirror: Option<String>,
    /// File with the keys that must have signed the mirror; Debian's own if absent.
    pub keyring: Option<PathBuf>,
}

/// Makes node images and keeps them until a driver has taken them in.
#[derive(Debug, Clone)]
pub struct NodeImageStore {
    cache: Cache,
    options: NodeImageOptions,
}

impl NodeImageStore {
    /// A store with these settings.
    #[must_use]
    pub fn new(options: NodeImageOptions) -> Self {
        Self { cache: Cache::new(&options.cache), options }
    }

    /// The finished image of a spec, if the cache has it. Reads no image data.
    #[must_use]
    pub fn cached(&self, spec: &NodeImageSpec) -> Option<NodeRootfs> {
        let key = node_image_key(spec);
        let tar = self.folder(&key).join(assemble::ARCHIVE);
        tar.is_file().then(|| NodeRootfs { key, tar, labels: spec.labels() })
    }

    /// The image of a spec, from the cache or made now. May run any number of times and in several
    /// processes at once: the work is done once, and an interrupted run is continued by the next at
    /// the stage it was in.
    ///
    /// # Errors
    /// When a program is missing, the mirror does not deliver or a stage fails.
    pub async fn build(
        &self,
        spec: &NodeImageSpec,
        set: &ArtifactSet,
        reporter: &dyn Reporter,
    ) -> Result<NodeRootfs, ArtifactError> {
        let key = node_image_key(spec);
        let doing = format!("assembling the node image of {}", spec.version);
        let _lock = self.cache.lock("node-image", &doing, reporter).await?;
        // Another process may have finished the work while this one waited.
        if let Some(image) = self.cached(spec) {
            return Ok(image);
        }
        tools::check(&TOOLS).await?;
        if !rustix::process::geteuid().is_root() {
            tools::check(&MAP_TOOLS).await?;
        }
        let base = self.cache.path("node-base").join(recipe::base_key().short(16));
        let folder = self.folder(&key);
        self.cache.require_space(if base.exists() { 0 } else { BASE_SPACE } + ROOTFS_SPACE)?;
        let mut journal = Journal::begin(self.cache.path("logs").join("node-image.log"), reporter)?;
        if !base.exists() {
            let mirror = Mirror::find(self.options.mirror.as_deref(), self.options.keyring.as_deref()).await?;
            make_folder(&base, async |part| base::make(&part, &mirror, &mut journal).await).await?;
        }
        let archive = base.join(base::ARCHIVE);
        make_folder(&folder, async |part| assemble::make(&part, &archive, spec, set, &mut journal).await).await?;
        // Bases are read under this lock only.
        for old in cache::old_siblings(&base, YOUNG)? {
            cache::remove(&old)?;
        }
        for old in cache::old_siblings(&folder, YOUNG)? {
            match old.file_name().and_then(|key| key.to_str()) {
                Some(key) => self.discard(key)?,
                None => cache::remove(&old)?,
            }
        }
        Ok(NodeRootfs { key, tar: folder.join(assemble::ARCHIVE), labels: spec.labels() })
    }

    /// Keeps others from discarding an image's archive, from before it is looked for until a driver has
    /// taken it in: it may have to go to several, by several processes.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub async fn in_use(&self, key: &str) -> Result<InUse, ArtifactError> {
        Ok(InUse { _lock: self.cache.in_use(&use_of(key)).await? })
    }

    /// Removes the archive of an image: once a driver has taken it in, it is only a second copy.
    /// Nothing happens if it is absent, or if somebody else uses it, who will do it then.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, key: &str) -> Result<(), ArtifactError> {
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(());
        }
        let alone = self.cache.unless_in_use(&use_of(key))?;
        alone.map_or(Ok(()), |_lock| cache::remove(&folder))
    }

    fn folder(&self, key: &str) -> PathBuf {
        self.cache.path("node-image").join(key)
    }
}

/// An image's archive that stays for as long as this is held.
#[derive(Debug)]
pub struct InUse {
    _lock: Lock,
}

/// Name of the lock that those share who use an image's archive.
fn use_of(key: &str) -> String {
    format!("node-image-{key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{images::Digest, node_image::Agent};

    fn spec() -> NodeImageSpec {
        NodeImageSpec {
            version: "v1.20.2".parse().unwrap(),
            artifacts: "0123456789abcdef".to_owned(),
            agent: Agent { path: "/agent".into(), digest: Digest::of(b"agent") },
        }
    }

    #[test]
    fn an_image_is_cached_until_it_is_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let store = NodeImageStore::new(NodeImageOptions { cache: dir.path().into(), mirror: None, keyring: None });
        assert_eq!(store.cached(&spec()), None);
        let key = node_image_key(&spec());
        std::fs::create_dir_all(store.folder(&key)).unwrap();
        std::fs::write(store.folder(&key).join(assemble::ARCHIVE), "").unwrap();
        assert_eq!(store.cached(&spec()).unwrap().key, key);
        store.discard(&key).unwrap();
        store.discard(&key).unwrap();
        assert_eq!(store.cached(&spec()), None);
    }

    #[tokio::test]
    async fn an_image_that_others_use_is_not_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let store = NodeImageStore::new(NodeImageOptions { cache: dir.path().into(), mirror: None, keyring: None });
        let key = node_image_key(&spec());
        std::fs::create_dir_all(store.folder(&key)).unwrap();
        std::fs::write(store.folder(&key).join(assemble::ARCHIVE), "").unwrap();
        let one = store.in_use(&key).await.unwrap();
        let other = store.in_use(&key).await.unwrap();
        drop(one);
        store.discard(&key).unwrap();
        assert!(store.cached(&spec()).is_some(), "the other one is still reading it");
        drop(other);
        store.discard(&key).unwrap();
        assert_eq!(store.cached(&spec()), None);
    }
}
