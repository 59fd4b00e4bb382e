//! What can go wrong with QEMU, and what the user can do about it.

use std::{io, path::PathBuf};

use skiff_config::NodeName;
use skiff_driver::DriverFailure;
use skiff_report::{Diagnose, ExitCode, Reason};
use skiff_runner::RunError;
use skiff_vm::VmError;
use thiserror::Error;

/// What can go wrong with QEMU.
#[derive(Debug, Error)]
pub enum Error {
    /// Something that no driver of virtual machines is spared.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// There is no QEMU on this host.
    #[error("QEMU is not installed: there is no {program}")]
    NotInstalled {
        /// The program.
        program: String,
    },
    /// QEMU is older than what machines need.
    #[error("QEMU is {found}, machines need {needed} or newer")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that has all that is needed.
        needed: &'static str,
    },
    /// The program does not say what it is.
    #[error("`{program} --version` does not answer as QEMU does")]
    NotQemu {
        /// The program.
        program: String,
        /// What came of it.
        #[source]
        source: Option<RunError>,
    },
    /// The firmware cannot be found.
    #[error("the firmware {} of the virtual machine is missing", path.display())]
    FirmwareMissing {
        /// The file, as given or as QEMU calls it.
        path: PathBuf,
    },
    /// This host has another processor than machines are made for.
    #[error("virtual machines are made for x86-64 and ARM64, not for {arch}")]
    ArchUnsupported {
        /// The host's processor.
        arch: String,
    },
    /// Machines cannot be reached at such an address.
    #[error("QEMU forwards ports of IPv4 addresses only, not of {address}")]
    AddressUnsupported {
        /// The address.
        address: std::net::IpAddr,
    },
    /// What a machine shall see is no folder of this host.
    #[error("{} is no folder of this host, and virtual machines see folders only", path.display())]
    NoFolder {
        /// What was asked for.
        path: PathBuf,
    },
    /// There is nothing on this host that could show machines its folders.
    #[error("virtiofsd is not installed, which shows virtual machines folders of this host")]
    FolderServerMissing,
    /// A folder cannot be shown to a machine.
    #[error("virtiofsd cannot serve {}: {detail}", path.display())]
    FolderUnserved {
        /// The folder.
        path: PathBuf,
        /// The program's words.
        detail: String,
    },
    /// A memory is kept only of machines that are all in QEMU.
    #[error("the memory of {node} cannot be kept: it sees folders of this host")]
    FoldersInTheWay {
        /// The node.
        node: NodeName,
    },
    /// QEMU did not start a machine.
    #[error("QEMU cannot start the machine of {node}: {detail}")]
    NotStarting {
        /// The node.
        node: NodeName,
        /// QEMU's words.
        detail: String,
    },
    /// The disk of the host is full, so the machine was halted before it could lose anything.
    #[error("the machine of {node} is halted: the disk that holds {} is full", folder.display())]
    HostFull {
        /// The node.
        node: NodeName,
        /// The machine's folder.
        folder: PathBuf,
    },
    /// The machine cannot write or read its disk, so it was halted.
    #[error("the machine of {node} is halted: it cannot use its disk in {}", folder.display())]
    DiskFailed {
        /// The node.
        node: NodeName,
        /// The machine's folder.
        folder: PathBuf,
    },
    /// The monitor of a machine cannot be talked to.
    #[error("QEMU's monitor of {node} does not answer")]
    Monitor {
        /// The node.
        node: NodeName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// QEMU refused a command.
    #[error("QEMU refuses {command}: {detail}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        detail: String,
    },
}

impl DriverFailure for Error {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::Vm(error) => error.taken_port(),
            _ => None,
        }
    }
}

impl Diagnose for Error {
    fn reason(&self) -> Reason {
        let (id, exit, advice) = match self {
            Self::Vm(error) => return error.reason(),
            Self::NotInstalled { .. } => (
                "PROVIDER_QEMU_NOT_FOUND",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install QEMU: `apt-get install qemu-system-x86 qemu-utils` on Debian and Ubuntu, `brew install qemu` on a Mac.",
            ),
            Self::TooOld { .. } => {
                ("PROVIDER_QEMU_OBSOLETE", ExitCode::PROVIDER_UNSUPPORTED, "Update QEMU to version 6.0 or newer.")
            }
            Self::NotQemu { .. } => (
                "PROVIDER_QEMU_UNUSABLE",
                ExitCode::PROVIDER_UNAVAILABLE,
                "Run the program by hand, and install QEMU anew if it fails.",
            ),
            Self::FirmwareMissing { .. } => (
                "PROVIDER_QEMU_FIRMWARE",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install QEMU's firmware (`seabios` on Debian, `qemu-efi-aarch64` for ARM64), or name one with \
                 --qemu-firmware-path.",
            ),
            Self::ArchUnsupported { .. } => {
                ("DRV_UNSUPPORTED_OS", ExitCode::DRIVER_UNSUPPORTED, "Use --driver=docker.")
            }
            Self::AddressUnsupported { .. } => {
                ("DRV_ADDRESS", ExitCode::DRIVER_UNSUPPORTED, "Use an IPv4 address for --listen-address and --ports.")
            }
            Self::NoFolder { .. } => {
                ("DRV_FOLDER", ExitCode::PROGRAM_USAGE, "Name a folder that is there with --mounts.")
            }
            Self::FolderServerMissing => (
                "PROVIDER_QEMU_FOLDERS",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install `virtiofsd`, on Debian 12 `qemu-system-common`, or start without --mounts.",
            ),
            Self::FolderUnserved { .. } => (
                "PROVIDER_QEMU_FOLDERS",
                ExitCode::PROVIDER_ERROR,
                "Look at the reason; a start without --mounts goes without the folder.",
            ),
            Self::FoldersInTheWay { .. } => (
                "GUEST_SNAPSHOT_FOLDERS",
                ExitCode::GUEST_CONFLICT,
                "Run `skiff stop` first: of a cluster that is stopped the disks are kept. Or start it with `--mounts=`.",
            ),
            Self::NotStarting { .. } => (
                "PROVIDER_QEMU_START",
                ExitCode::PROVIDER_ERROR,
                "`skiff logs` shows what the machine has written to its console.",
            ),
            Self::HostFull { .. } => (
                "RSRC_QEMU_STORAGE",
                ExitCode::INSUFFICIENT_STORAGE,
                "Free some disk space, then run `skiff start`: the machine goes on where it was halted.",
            ),
            Self::DiskFailed { .. } => (
                "GUEST_DISK_FAILED",
                ExitCode::GUEST_ERROR,
                "Look at the host's own log for errors of its disk, then run `skiff start`.",
            ),
            Self::Monitor { .. } | Self::Refused { .. } => (
                "PROVIDER_QEMU_ERROR",
                ExitCode::PROVIDER_UNAVAILABLE,
                "Run the command again; `skiff stop` ends a machine that does not answer.",
            ),
        };
        Reason::new(id, exit, advice)
    }
}
