//! Locks between skiffs that work on one machine, one image or the networks at the same time.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{VmError, files};

/// Pause between two tries: a blocking wait could not be cancelled.
const PAUSE: Duration = Duration::from_millis(25);

/// Held until dropped; the system releases it when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
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
        loop {
            let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
            let file = open.map_err(VmError::file("open", path))?;
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file, path: path.to_owned() };
                    if lock.is_current() {
                        return Ok(lock);
                    }
                }
                Err(TryLockError::Error(error)) => return Err(VmError::file("lock", path)(error)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Removes the lock's file, when what it guards is gone. Who waits for it makes a new one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(self) -> Result<(), VmError> {
        files::remove(&self.path)
    }

    /// False if the file was removed by whoever had the lock before: others lock another one by now.
    fn is_current(&self) -> bool {
        let number = |data: fs::Metadata| (data.dev(), data.ino());
        let (held, named) = (self.file.metadata().map(number), fs::metadata(&self.path).map(number));
        matches!((held, named), (Ok(held), Ok(named)) if held == named)
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

    #[tokio::test]
    async fn a_lock_that_is_discarded_leaves_nothing_and_lets_the_next_one_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/a");
        let first = Lock::take(&path).await.unwrap();
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { Lock::take(&path).await }
        });
        tokio::task::yield_now().await;
        first.discard().unwrap();
        let second = waiting.await.unwrap().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(60), Lock::take(&path)).await.is_err());
        second.discard().unwrap();
        assert!(!path.exists());
    }
}
