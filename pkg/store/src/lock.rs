//! Exclusive locks that tell who holds them.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Process, StoreError,
    process::{exists, start_time},
};

/// Pause between two tries to get a lock. Trying again instead of blocking keeps the wait
/// cancellable.
const PAUSE: Duration = Duration::from_millis(25);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// What it does, as its user would say it, e.g. `skiff start`.
    pub command: String,
    /// With the process id, the identity of the process.
    started: Option<u64>,
}

impl Owner {
    fn me(command: &str) -> Self {
        let pid = process::id();
        Self { pid, command: command.to_owned(), started: start_time(pid) }
    }

    /// Asks it to end; nothing happens if it is gone.
    pub fn terminate(&self) {
        if let Some(process) = Process::of(self.pid).filter(|_| self.is_alive()) {
            process.terminate();
        }
    }

    /// False for what a process wrote that is gone: the lock itself went with it.
    fn is_alive(&self) -> bool {
        exists(self.pid) && (self.started.is_none() || start_time(self.pid) == self.started)
    }
}

/// A held lock. Dropping it releases it, and so does the end of the process, however it ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of a file, waiting as long as somebody else holds it. `on_wait` is called once
    /// for each owner that is waited for.
    pub(crate) async fn take(path: PathBuf, command: &str, on_wait: impl Fn(&Owner)) -> Result<Self, StoreError> {
        let mut told: Option<Owner> = None;
        loop {
            match Self::attempt(&path, command) {
                Ok(Ok(lock)) => return Ok(lock),
                Ok(Err(owner)) => {
                    if let Some(owner) = owner.filter(|owner| told.as_ref() != Some(owner)) {
                        on_wait(&owner);
                        told = Some(owner);
                    }
                }
                Err(source) => return Err(StoreError::Lock { path, source }),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes one of several locks, whichever is free first. `on_wait` is called once if all are held,
    /// with who holds them.
    pub(crate) async fn take_any(
        paths: &[PathBuf],
        command: &str,
        on_wait: impl Fn(&[Owner]),
    ) -> Result<Self, StoreError> {
        let mut told = false;
        loop {
            let mut owners = Vec::new();
            for path in paths {
                match Self::attempt(path, command) {
                    Ok(Ok(lock)) => return Ok(lock),
                    Ok(Err(owner)) => owners.extend(owner),
                    Err(source) => return Err(StoreError::Lock { path: path.clone(), source }),
                }
            }
            // An owner that has not written yet who it is, or is about to go, is not worth a word.
            if !told && owners.len() == paths.len() {
                on_wait(&owners);
                told = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// True while somebody holds the lock of a file.
    pub(crate) fn is_held(path: &Path) -> bool {
        // Shared and for a moment only: whoever wants the lock just then tries again.
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Who holds the lock of a file, so far as that can be told.
    pub(crate) fn owner(path: &Path) -> Option<Owner> {
        let owner: Owner = serde_yaml::from_str(&fs::read_to_string(path).ok()?).ok()?;
        Some(owner).filter(Owner::is_alive)
    }

    /// One try: the lock, or its owner so far as that can be told.
    pub(crate) fn attempt(path: &Path, command: &str) -> io::Result<Result<Self, Option<Owner>>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                let owner: Option<Owner> = serde_yaml::from_str(&text).ok();
                return Ok(Err(owner.filter(Owner::is_alive)));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The previous owner may have removed the file between our opening and locking it.
        let held = file.metadata()?;
        if !fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(Err(None));
        }
        let text = serde_yaml::to_string(&Owner::me(command)).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        Ok(Ok(Self { path: path.to_owned(), file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that nobody else's file can be meant. If that fails, an
        // unlocked file stays, which does no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
