//! What a machine boots with, whatever Kubernetes version its node image holds.

use std::path::{Path, PathBuf};

use crate::VmError;

/// A folder with kernel, initial RAM disk and kernel modules. `deploy/vm` says how it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    folder: PathBuf,
}

impl Kit {
    /// Names of the files in it.
    pub const FILES: [&'static str; 3] = ["vmlinuz", "initrd", "modules.tar"];

    /// The kit in a folder, which need not be there yet.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The initial RAM disk.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }

    /// The modules as a tar archive, to be laid over a root file system.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.folder.join("modules.tar")
    }

    /// Fails if a file is missing.
    ///
    /// # Errors
    /// [`VmError::KitMissing`].
    pub fn require(&self) -> Result<(), VmError> {
        let missing = Self::FILES.iter().map(|name| self.folder.join(name)).find(|path| !path.is_file());
        missing.map_or(Ok(()), |path| Err(VmError::KitMissing { path }))
    }
}
