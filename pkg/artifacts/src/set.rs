//! What a source yields: one verified set of programs for one Kubernetes version.
//!
//! A set is a folder with `bin/`, `etcd/` and a manifest that holds the digest of every file. It
//! appears under its final name only when it is complete, and is verified on each use.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use skiff_config::KubeVersion;

use crate::{ArtifactError, SourceKind, images::Digest};

const MANIFEST: &str = "manifest.json";

/// A processor architecture, under Debian's and Go's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// This host's architecture.
    ///
    /// # Errors
    /// On a host that is neither x86-64 nor ARM64 Linux.
    pub fn host() -> Result<Self, ArtifactError> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Ok(Self::Amd64),
            ("linux", "aarch64") => Ok(Self::Arm64),
            (os, arch) => Err(ArtifactError::HostUnsupported { host: format!("{os}/{arch}") }),
        }
    }

    /// The name, e.g. `amd64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A file and its SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest in hexadecimal digits.
    pub sha256: String,
}

/// A folder laid out like a root file system, with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactTree {
    /// The folder.
    pub root: PathBuf,
    /// Every file below it.
    pub files: Vec<Artifact>,
}

/// The programs of one Kubernetes version, present and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactSet {
    /// Where they came from.
    pub source: SourceKind,
    /// The Kubernetes version.
    pub version: KubeVersion,
    /// What they run on.
    pub arch: Arch,
    /// Hash of everything they were made from.
    pub key: String,
    /// Folder with all programs and `pause`.
    pub programs: PathBuf,
    /// Sets up nodes.
    pub kubeadm: Artifact,
    /// Runs pods.
    pub kubelet: Artifact,
    /// The command line client.
    pub kubectl: Artifact,
    /// The API server.
    pub kube_apiserver: Artifact,
    /// The controllers.
    pub kube_controller_manager: Artifact,
    /// The scheduler.
    pub kube_scheduler: Artifact,
    /// The service proxy.
    pub kube_proxy: Artifact,
    /// Holds a pod's namespaces open.
    pub pause: Artifact,
    /// etcd and etcdctl with the libraries they load.
    pub etcd: ArtifactTree,
}

/// What a set was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// File name of a package or download.
    pub(crate) name: String,
    /// Its digest.
    pub(crate) sha256: String,
}

/// What a set is, before its files are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) source: SourceKind,
    pub(crate) version: KubeVersion,
    pub(crate) arch: Arch,
    pub(crate) key: String,
    pub(crate) inputs: Vec<Input>,
}

/// The stored form. Paths are relative to the set's folder.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    source: SourceKind,
    version: KubeVersion,
    arch: Arch,
    key: String,
    files: BTreeMap<String, String>,
    inputs: Vec<Input>,
}

impl ArtifactSet {
    /// Writes the manifest of a finished folder.
    pub(crate) fn seal(dir: &Path, identity: Identity) -> Result<(), ArtifactError> {
        let mut files = BTreeMap::new();
        for name in list(dir).map_err(ArtifactError::io("list", dir))? {
            let path = dir.join(&name);
            let digest = Digest::of_file(&path).map_err(ArtifactError::io("read", &path))?;
            files.insert(name, digest.as_str().to_owned());
        }
        let Identity { source, version, arch, key, inputs } = identity;
        let path = dir.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&Manifest { source, version, arch, key, files, inputs })
            .map_err(|error| ArtifactError::io("write", &path)(error.into()))?;
        fs::write(&path, text).map_err(ArtifactError::io("write", &path))
    }

    /// True if a folder holds a set, whatever state its files are in.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(MANIFEST).exists()
    }

    /// The set in a folder that this process has just sealed.
    pub(crate) fn sealed(dir: &Path) -> Result<Self, ArtifactError> {
        let missing = || ArtifactError::io("find", dir)(io::ErrorKind::NotFound.into());
        Manifest::read(dir)?.ok_or_else(missing)?.into_set(dir)
    }

    /// Opens the set in a folder and verifies every file; `None` if there is none.
    ///
    /// A set that fails is put out of use, so that the next run makes it anew.
    ///
    /// # Errors
    /// When a file is missing or differs from the manifest, or the manifest cannot be read.
    pub fn open(dir: &Path) -> Result<Option<Self>, ArtifactError> {
        let opened = match Manifest::read(dir) {
            Ok(None) => return Ok(None),
            Ok(Some(manifest)) => manifest.verify(dir).and_then(|()| manifest.into_set(dir)),
            Err(error) => Err(error),
        };
        if let Err(ArtifactError::Corrupt { .. } | ArtifactError::Manifest { .. }) = opened {
            // Without its manifest the folder no longer counts as a set.
            let path = dir.join(MANIFEST);
            let _ = fs::rename(&path, path.with_extension("json.bad"));
        }
        opened.map(Some)
    }
}

impl Manifest {
    fn read(dir: &Path) -> Result<Option<Self>, ArtifactError> {
        let path = dir.join(MANIFEST);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|source| ArtifactError::Manifest { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArtifactError::io("read", &path)(error)),
        }
    }

    /// Compares every file with its digest, on two threads: a set has several hundred megabytes.
    fn verify(&self, dir: &Path) -> Result<(), ArtifactError> {
        let check = |(name, expected): (&String, &String)| {
            let path = dir.join(name);
            let found = match Digest::of_file(&path) {
                Ok(found) => found.as_str().to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "nothing".to_owned(),
                Err(error) => return Err(ArtifactError::io("read", &path)(error)),
            };
            if found == *expected {
                Ok(())
            } else {
                Err(ArtifactError::Corrupt { path, expected: expected.clone(), found })
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.files.iter().step_by(2).try_for_each(check));
            let mine = self.files.iter().skip(1).step_by(2).try_for_each(check);
            match other.join() {
                Ok(theirs) => theirs.and(mine),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn into_set(self, dir: &Path) -> Result<ArtifactSet, ArtifactError> {
        let artifact = |name: &str| match self.files.get(name) {
            Some(sha256) => Ok(Artifact { path: dir.join(name), sha256: sha256.clone() }),
            None => Err(ArtifactError::Corrupt {
                path: dir.join(name),
                expected: "a file".to_owned(),
                found: "no entry in the manifest".to_owned(),
            }),
        };
        let etcd = self.files.keys().filter(|name| name.starts_with("etcd/"));
        Ok(ArtifactSet {
            programs: dir.join("bin"),
            kubeadm: artifact("bin/kubeadm")?,
            kubelet: artifact("bin/kubelet")?,
            kubectl: artifact("bin/kubectl")?,
            kube_apiserver: artifact("bin/kube-apiserver")?,
            kube_controller_manager: artifact("bin/kube-controller-manager")?,
            kube_scheduler: artifact("bin/kube-scheduler")?,
            kube_proxy: artifact("bin/kube-proxy")?,
            pause: artifact("bin/pause")?,
            etcd: ArtifactTree {
                root: dir.join("etcd"),
                files: etcd.map(|name| artifact(name)).collect::<Result<_, _>>()?,
            },
            source: self.source,
            version: self.version.clone(),
            arch: self.arch,
            key: self.key.clone(),
        })
    }
}

/// Relative paths of all files below a folder. Programs lose write permission, so that an accident
/// does not change them.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(dir.join(&folder))? {
            let item = item?;
            let path = folder.join(item.file_name());
            if item.file_type()?.is_dir() {
                folders.push(path);
            } else {
                fs::set_permissions(item.path(), fs::Permissions::from_mode(0o555))?;
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Fills a folder with a set whose programs are their own names.
    pub(crate) fn fill(dir: &Path) {
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::create_dir_all(dir.join("etcd/usr/bin")).unwrap();
        for name in crate::COMPONENTS.iter().chain(&["pause"]) {
            fs::write(dir.join("bin").join(name), name).unwrap();
        }
        fs::write(dir.join("etcd/usr/bin/etcd"), "etcd").unwrap();
    }

    fn sealed() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let version = "v1.20.2".parse().unwrap();
        let identity = Identity {
            source: SourceKind::Debian,
            version,
            arch: Arch::Amd64,
            key: "0123456789abcdef".to_owned(),
            inputs: vec![],
        };
        ArtifactSet::seal(dir.path(), identity).unwrap();
        dir
    }

    #[test]
    fn a_sealed_set_opens_with_all_its_parts() {
        let dir = sealed();
        let set = ArtifactSet::open(dir.path()).unwrap().unwrap();
        assert_eq!(set.kubeadm.path, dir.path().join("bin/kubeadm"));
        assert_eq!(set.pause.sha256, Digest::of(b"pause").as_str());
        assert_eq!(set.etcd.files.len(), 1);
        assert_eq!(set.version.to_string(), "v1.20.2");
    }

    #[test]
    fn a_folder_without_manifest_holds_no_set() {
        assert_eq!(ArtifactSet::open(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn a_changed_file_is_named_and_ends_the_sets_use() {
        let dir = sealed();
        let path = dir.path().join("bin/kubelet");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        let error = ArtifactSet::open(dir.path()).unwrap_err();
        assert!(matches!(&error, ArtifactError::Corrupt { path: named, .. } if *named == path), "{error}");
        assert_eq!(ArtifactSet::open(dir.path()).unwrap(), None);
    }

    #[test]
    fn a_missing_file_counts_as_changed() {
        let dir = sealed();
        fs::remove_file(dir.path().join("bin/pause")).unwrap();
        let error = ArtifactSet::open(dir.path()).unwrap_err();
        assert!(matches!(&error, ArtifactError::Corrupt { found, .. } if found == "nothing"), "{error}");
    }

    #[test]
    fn a_manifest_that_is_no_json_is_an_error_once() {
        let dir = sealed();
        fs::write(dir.path().join(MANIFEST), "{").unwrap();
        assert!(matches!(ArtifactSet::open(dir.path()), Err(ArtifactError::Manifest { .. })));
        assert_eq!(ArtifactSet::open(dir.path()).unwrap(), None);
    }
}
