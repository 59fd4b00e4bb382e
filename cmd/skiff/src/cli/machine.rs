//! Flags that only virtual machines have a use for.

use std::path::PathBuf;

use skiff_drivers::MachineWishes;

/// Wishes for virtual machines.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct MachineArgs {
    /// Firmware of virtual machines (qemu) in place of QEMU's own.
    #[arg(long, value_name = "FILE", help_heading = "Virtual machines")]
    qemu_firmware_path: Option<PathBuf>,
    /// How many empty disks of 20 GiB new virtual machines get beside their own.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20))]
    #[arg(help_heading = "Virtual machines")]
    extra_disks: u32,
}

impl MachineArgs {
    pub(crate) fn wishes(&self) -> MachineWishes {
        // QEMU runs in another folder.
        let firmware = self.qemu_firmware_path.as_ref().map(|path| std::path::absolute(path).unwrap_or(path.clone()));
        MachineWishes { firmware, extra_disks: self.extra_disks }
    }
}
