//! Locks between skiffs that work on one machine, one image or the networks at the same time.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::Duration,
};

use crate::{VmError, files};

/// Pause between two tries: a blocking wait could not be cancelled.
const PAUSE: Duration = Duration::from_millis(25);

/// Held until dropped; the system releases it when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub async fn take(path: &Path) -> Result<Self, VmError> {
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(VmError::file("open", path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(VmError::file("lock", path)(error)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/a");
        let first = Lock::take(&path).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(60), Lock::take(&path));
        assert!(waiting.await.is_err());
        drop(first);
        Lock::take(&path).await.unwrap();
    }
}
