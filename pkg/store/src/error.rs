//! What can go wrong with stored files.

use std::{io, path::PathBuf};

use skiff_config::{FileError, Problem};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

/// A file or folder of the skiff home that cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A folder cannot be made or listed.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file exists but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file cannot be written; what was there before is untouched.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file or folder cannot be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A profile's file is damaged.
    #[error("the profile file {} is damaged", path.display())]
    Profile {
        /// The cluster.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FileError,
    },
    /// A profile's file has settings that cannot be.
    #[error("the profile file {} is damaged: {}", path.display(), listed(problems))]
    ProfileValues {
        /// The cluster.
        name: String,
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// A profile's file describes another cluster than its folder is named after.
    #[error("the profile file {} describes a cluster named `{found}`", path.display())]
    ProfileName {
        /// The cluster the folder is named after.
        name: String,
        /// The file.
        path: PathBuf,
        /// The name in the file.
        found: String,
    },
    /// A folder among the profiles whose name no cluster can have.
    #[error("{} is not the folder of a profile", path.display())]
    Stranger {
        /// The folder.
        path: PathBuf,
    },
    /// The file with the defaults is damaged.
    #[error("the configuration file {} is damaged: {detail}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A lock cannot be taken, for another reason than that somebody holds it.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A name of a file that would lie outside of the profile's folder.
    #[error("`{0}` is not the name of a file inside a profile")]
    Outside(String),
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Diagnose for StoreError {
    fn reason(&self) -> Reason {
        match self {
            Self::Folder { path, source }
            | Self::Read { path, source }
            | Self::Write { path, source }
            | Self::Remove { path, source }
            | Self::Lock { path, source } => io_reason(path, source),
            Self::Profile { name, path, .. }
            | Self::ProfileValues { name, path, .. }
            | Self::ProfileName { name, path, .. } => Reason::new(
                "HOST_CONFIG_LOAD",
                ExitCode::HOST_CONFIG,
                format!("Repair {}, or remove the cluster with `skiff delete -p {name}`.", path.display()),
            ),
            Self::Stranger { path } => Reason::new(
                "HOST_CONFIG_LOAD",
                ExitCode::HOST_CONFIG,
                format!("Move {} to another place; skiff did not make it.", path.display()),
            ),
            Self::Settings { path, .. } => Reason::new(
                "HOST_CONFIG_LOAD",
                ExitCode::HOST_CONFIG,
                format!("Repair {}, or delete it to go back to skiff's defaults.", path.display()),
            ),
            Self::Outside(_) => Reason::new("HOST_SAVE_PROFILE", ExitCode::PROGRAM_ERROR, ""),
        }
    }
}

fn io_reason(path: &std::path::Path, error: &io::Error) -> Reason {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::new(
            "HOST_HOME_PERMISSION",
            ExitCode::HOST_PERMISSION,
            format!("Make {path} yours again, e.g. with `chown`, or set SKIFF_HOME to another folder."),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::new(
            "RSRC_INSUFFICIENT_STORAGE",
            ExitCode::INSUFFICIENT_STORAGE,
            format!("Free some space on the disk that holds {path}."),
        ),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => Reason::new(
            "HOST_HOME_MKDIR",
            ExitCode::HOST_PERMISSION,
            format!("Make {path} writable, or set SKIFF_HOME to another folder."),
        ),
        _ => Reason::new("HOST_SAVE_PROFILE", ExitCode::HOST_CONFIG, format!("Check the disk that holds {path}.")),
    }
}
