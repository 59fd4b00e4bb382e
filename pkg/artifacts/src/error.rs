//! What can go wrong while Kubernetes is obtained.

use std::{io, path::PathBuf};

use skiff_config::KubeVersion;
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::SourceKind;

/// Why there is no artifact set.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The disk is too full to begin.
    #[error("{} needs {} free, and has {}", path.display(), size(*needed), size(*free))]
    NoSpace {
        /// The cache folder.
        path: PathBuf,
        /// Bytes that the missing stages take.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk became full.
    #[error("the disk became full while {stage}")]
    DiskFull {
        /// What was going on.
        stage: String,
        /// All that was printed.
        log: PathBuf,
    },
    /// A cached file is not what it was when it was made.
    #[error("{} has changed since it was made: expected sha256 {expected}, found {found}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Digest in the manifest.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// A manifest cannot be read.
    #[error("{} cannot be read", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The source never has this version.
    #[error("the artifact source `{source_kind}` has Kubernetes {offered}, not {version}")]
    VersionNotOffered {
        /// The source.
        source_kind: SourceKind,
        /// The version asked for.
        version: KubeVersion,
        /// What it has.
        offered: String,
    },
    /// The operating system or processor is not supported.
    #[error("artifacts cannot be built on {host}")]
    HostUnsupported {
        /// Operating system and processor.
        host: String,
    },
    /// A program is missing on the host.
    #[error("`{program}` is not installed")]
    ToolMissing {
        /// The program.
        program: &'static str,
        /// The package that has it on Debian.
        package: &'static str,
    },
    /// The host's apt configuration names no Debian mirror.
    #[error("no Debian mirror is known")]
    MirrorUnknown,
    /// There is no key to verify the mirror's signatures with.
    #[error("no keyring of the Debian archive at {}", path.display())]
    KeyringMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The mirror does not answer.
    #[error("the Debian mirror {mirror} cannot be reached: {detail}")]
    MirrorUnreachable {
        /// Address of the mirror.
        mirror: String,
        /// What went wrong.
        detail: String,
    },
    /// The mirror answers with something that Debian did not sign.
    #[error("what the Debian mirror {mirror} sends is not signed by Debian: {detail}")]
    Signature {
        /// Address of the mirror.
        mirror: String,
        /// apt's words.
        detail: String,
    },
    /// The host does not let skiff make the namespaces that the build runs in.
    #[error("the build needs namespaces of its own, which this host refuses: {detail}")]
    Namespaces {
        /// The system's answer.
        detail: String,
    },
    /// A stage failed.
    #[error("{stage} failed: {cause}")]
    Stage {
        /// What was going on.
        stage: String,
        /// The line that says most about it.
        cause: String,
        /// All that was printed.
        log: PathBuf,
    },
    /// Work on another thread ended in a panic.
    #[error("checking the cached files ended early")]
    Aborted(#[source] tokio::task::JoinError),
}

impl ArtifactError {
    /// Turns the system's answer into an error of this crate.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Bytes for a person.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes.div_ceil(MIB) {
        mib if mib < 1024 => format!("{mib} MiB"),
        mib => format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024),
    }
}

impl Diagnose for ArtifactError {
    fn reason(&self) -> Reason {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Reason::new(
                "HOST_CACHE_PERMISSION",
                ExitCode::HOST_PERMISSION,
                "Check who owns the cache folder, or choose another with SKIFF_HOME.",
            ),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => full(),
            Self::Io { .. } => Reason::new("HOST_CACHE_IO", ExitCode::HOST_ERROR, ""),
            Self::NoSpace { .. } | Self::DiskFull { .. } => full(),
            Self::Corrupt { .. } | Self::Manifest { .. } => Reason::new(
                "HOST_CACHE_CORRUPT",
                ExitCode::HOST_CONFIG,
                "Run the command again: the damaged set is out of use now and is made anew.",
            ),
            Self::VersionNotOffered { .. } => Reason::new(
                "K8S_VERSION_UNAVAILABLE",
                ExitCode::CONTROL_PLANE_UNSUPPORTED,
                "Choose another version with --kubernetes-version or another source with --artifacts.",
            ),
            Self::HostUnsupported { .. } => Reason::new("HOST_UNSUPPORTED", ExitCode::PROGRAM_UNSUPPORTED, ""),
            Self::ToolMissing { program, package } => Reason::new(
                "HOST_COMMAND_NOT_FOUND",
                ExitCode::HOST_NOT_FOUND,
                format!("Install the package `{package}`, which has `{program}`."),
            ),
            Self::MirrorUnknown => Reason::new(
                "INET_MIRROR_UNKNOWN",
                ExitCode::HOST_CONFIG,
                "Name a Debian mirror with --debian-mirror URL.",
            ),
            Self::KeyringMissing { .. } => Reason::new(
                "HOST_KEYRING_MISSING",
                ExitCode::HOST_NOT_FOUND,
                "Install the package `debian-archive-keyring`.",
            ),
            Self::MirrorUnreachable { .. } => Reason::new(
                "INET_MIRROR_UNAVAILABLE",
                ExitCode::INTERNET_UNAVAILABLE,
                "Check the network, then run the command again: it continues where it stopped. \
                 --debian-mirror URL names another mirror.",
            ),
            Self::Signature { .. } => Reason::new(
                "INET_MIRROR_SIGNATURE",
                ExitCode::INTERNET_ERROR,
                "Do not trust this mirror; name another with --debian-mirror URL. If the keyring is old, \
                 update the package `debian-archive-keyring`.",
            ),
            Self::Namespaces { .. } => Reason::new(
                "HOST_NAMESPACES",
                ExitCode::HOST_PERMISSION,
                "Run skiff as root once to build, or allow user namespaces \
                 (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0).",
            ),
            Self::Stage { log, .. } => Reason::new(
                "K8S_BUILD_FAILED",
                ExitCode::PROGRAM_ERROR,
                format!("The whole output is in {}. The next run continues where this one stopped.", log.display()),
            ),
            Self::Aborted(_) => Reason::new("SKIFF_INTERNAL", ExitCode::PROGRAM_ERROR, ""),
        }
    }
}

fn full() -> Reason {
    Reason::new(
        "HOST_STORAGE",
        ExitCode::INSUFFICIENT_STORAGE,
        "Free some space, or choose another disk with SKIFF_HOME, then run the command again: it continues \
         where it stopped.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_against_false_hope() {
        assert_eq!(size(1), "1 MiB");
        assert_eq!(size(2_684_354_560), "2.5 GiB");
    }

    #[test]
    fn a_full_disk_has_one_reason_wherever_it_shows() {
        let late = ArtifactError::DiskFull { stage: "compiling".to_owned(), log: PathBuf::new() };
        let early = ArtifactError::NoSpace { path: PathBuf::new(), needed: 2, free: 1 };
        assert_eq!(late.reason(), early.reason());
    }
}
