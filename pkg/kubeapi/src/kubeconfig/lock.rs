//! The lock on a kubeconfig file: kubectl's, and one of our own.
//!
//! kubectl makes `FILE.lock`, fails if it is there already, and removes it when done. A killed
//! program leaves it behind, which stops kubectl until somebody removes it by hand. Skiffs therefore
//! hold a second lock, which ends with the process, on the folder: whoever has it and finds a lock
//! file that a skiff made knows that its maker is gone.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::KubeError;

/// How long to wait for others. kubectl needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(3);
/// Nobody edits a kubeconfig for so long: whoever made this lock file is gone.
const STALE: Duration = Duration::from_secs(30);
/// The first word in lock files of ours.
const OURS: &str = "skiff";

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    files: Vec<PathBuf>,
    _folder: Option<File>,
}

impl Lock {
    /// Locks a file under the name the user gave it, and under the name that links lead to.
    pub(super) fn take(path: &Path, target: &Path) -> Result<Self, KubeError> {
        let end = Instant::now() + PATIENCE;
        let folder = lock_folder(target, end)?;
        let mut lock = Self { files: Vec::new(), _folder: folder };
        let mut names = vec![path];
        if target != path {
            names.push(target);
        }
        for name in names {
            let file = lock_name(name);
            create(name, &file, lock._folder.is_some(), end)?;
            lock.files.push(file);
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for file in &self.files {
            // The next skiff removes what we cannot.
            let _ = fs::remove_file(file);
        }
    }
}

/// kubectl's name for the lock of a file.
pub(super) fn lock_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The lock among skiffs. `None` where the file system has no such locks.
fn lock_folder(target: &Path, end: Instant) -> Result<Option<File>, KubeError> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(file) = File::open(folder) else { return Ok(None) };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(STEP),
            Err(TryLockError::WouldBlock) => {
                return Err(KubeError::KubeconfigLocked { path: target.to_owned(), lock: lock_name(target) });
            }
        }
    }
}

/// Makes the lock file that kubectl honours. `alone`: no other skiff is at work here.
fn create(path: &Path, lock: &Path, alone: bool, end: Instant) -> Result<(), KubeError> {
    loop {
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(lock) {
            Ok(mut file) => {
                // Only a hint for the next skiff.
                let _ = writeln!(file, "{OURS} {}", std::process::id());
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_left_behind(lock, alone) {
                    let _ = fs::remove_file(lock);
                } else if Instant::now() < end {
                    thread::sleep(STEP);
                } else {
                    return Err(KubeError::KubeconfigLocked { path: path.to_owned(), lock: lock.to_owned() });
                }
            }
            Err(source) => return Err(KubeError::KubeconfigWrite { path: path.to_owned(), source }),
        }
    }
}

/// True if the maker of a lock file is gone.
fn is_left_behind(lock: &Path, alone: bool) -> bool {
    let made_by_skiff = || fs::read_to_string(lock).is_ok_and(|text| text.starts_with(OURS));
    let age = || fs::metadata(lock).and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
    (alone && made_by_skiff()) || age().is_some_and(|age| age > STALE)
}
