//! What a driver is opened with.

use std::path::PathBuf;

use skiff_vm::Kit;

/// Settings of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuOptions {
    /// Where images, networks and machines are kept.
    pub folder: PathBuf,
    /// What machines boot with. It need not be there before the first image is imported.
    pub kit: Kit,
    /// QEMU's program; the one for this host's processor if absent.
    pub program: Option<String>,
    /// A firmware in place of QEMU's own, for machines that are made from now on.
    pub firmware: Option<PathBuf>,
    /// How many empty disks machines get that are made from now on.
    pub extra_disks: u32,
}

impl QemuOptions {
    /// Settings without a wish.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, kit: Kit) -> Self {
        Self { folder: folder.into(), kit, program: None, firmware: None, extra_disks: 0 }
    }
}
