//! Where drivers find what they stand on.

use std::{ffi::OsString, path::PathBuf};

use skiff_driver::DriverKind;
use skiff_driver_docker::DockerDriver;
use skiff_driver_hyperkit::{HyperkitDriver, LEASES, Options as HyperkitOptions};
use skiff_driver_qemu::{Kit, QemuDriver, QemuOptions};

use crate::{AnyDriver, DriverError};

/// Where drivers find what they stand on. The command line fills it from flags and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers {
    /// Where Docker is, as in `DOCKER_HOST`; this host's own if absent.
    pub docker_host: Option<String>,
    /// The skiff home, where drivers without a daemon of their own keep machines.
    pub home: PathBuf,
    /// Where what can be made again is kept.
    pub cache: PathBuf,
    /// The folder of what virtual machines boot with; it need not be there yet.
    pub vm_kit: PathBuf,
    /// Wishes for virtual machines that are made from now on.
    pub machines: MachineWishes,
    /// hyperkit itself, where it is not in one of its usual places.
    pub hyperkit: Option<PathBuf>,
    /// The file in which the host's DHCP server keeps its leases, where it is not macOS' own.
    pub leases: Option<PathBuf>,
    /// The words of a program that attends one of hyperkit's machines, whose folder is the last.
    pub attendant: Vec<OsString>,
}

/// Wishes for new virtual machines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineWishes {
    /// A firmware in place of QEMU's own.
    pub firmware: Option<PathBuf>,
    /// How many empty disks to add.
    pub extra_disks: u32,
}

impl MachineWishes {
    /// The flags of those wishes that a driver has no use for.
    #[must_use]
    pub fn left_out_by(&self, driver: DriverKind) -> Vec<&'static str> {
        let firmware = self.firmware.is_some() && driver != DriverKind::Qemu;
        let disks = self.extra_disks > 0 && driver == DriverKind::Docker;
        let flags = [(firmware, "--qemu-firmware-path"), (disks, "--extra-disks")];
        flags.into_iter().filter_map(|(out, flag)| out.then_some(flag)).collect()
    }
}

impl Providers {
    /// A driver, made and not checked.
    pub(crate) async fn connect(&self, kind: DriverKind) -> Result<AnyDriver, DriverError> {
        match kind {
            DriverKind::Docker => Ok(AnyDriver::Docker(DockerDriver::connect(self.docker_host.as_deref()).await?)),
            DriverKind::Qemu => Ok(AnyDriver::Qemu(QemuDriver::new(self.qemu()))),
            DriverKind::Hyperkit => Ok(AnyDriver::Hyperkit(HyperkitDriver::new(self.hyperkit_options()))),
        }
    }

    fn qemu(&self) -> QemuOptions {
        let MachineWishes { firmware, extra_disks } = self.machines.clone();
        let options = QemuOptions::new(self.home.join("vm/qemu"), Kit::at(&self.vm_kit));
        QemuOptions { firmware, extra_disks, ..options }
    }
    fn hyperkit_options(&self) -> HyperkitOptions {
        let folder = self.home.join("vm/hyperkit");
        let options = HyperkitOptions::new(folder, self.vm_kit.clone(), self.attendant.clone());
        HyperkitOptions {
            program: self.hyperkit.clone(),
            leases: self.leases.clone().unwrap_or_else(|| LEASES.into()),
            extra_disks: self.machines.extra_disks,
            ..options
        }
    }
}
