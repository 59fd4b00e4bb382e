//! Folders of the cache: made in one piece, under one lock, with room checked first.
//!
//! A finished folder appears by a rename, so whatever exists under its final name is complete,
//! however the process that made it ended.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use skiff_report::{Event, Reporter};

use crate::{ArtifactError, images::Digest};

/// How often a waiting process looks whether the lock is free. A blocking wait could not be
/// cancelled and would hold up the end of the process.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// The cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in this folder, made absolute: some commands run elsewhere.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// A folder of the cache, which need not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A folder of the cache, made if it does not exist.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, ArtifactError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(ArtifactError::io("create", &path))?;
        Ok(path)
    }

    /// Waits until no other process holds the lock of this name, saying once for whom.
    pub(crate) async fn lock(&self, name: &str, doing: &str, reporter: &dyn Reporter) -> Result<Lock, ArtifactError> {
        let (mut file, path) = self.lock_file(name)?;
        let io = |action| ArtifactError::io(action, &path);
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(io("lock")(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                told = true;
                let mut holder = String::new();
                file.rewind().and_then(|()| file.read_to_string(&mut holder)).map_err(io("read"))?;
                reporter.report(Event::Info(format!("waiting for another skiff ({})", holder.trim())));
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io("write"))?;
        writeln!(file, "process {}, {doing}", std::process::id()).map_err(io("write"))?;
        Ok(Lock { _file: file })
    }

    /// Notes that what this name stands for is in use, by this process among others. Waits for the moment
    /// that somebody takes to remove it.
    pub(crate) async fn in_use(&self, name: &str) -> Result<Lock, ArtifactError> {
        let (file, path) = self.lock_file(name)?;
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(ArtifactError::io("lock", &path)(error)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
            }
        }
    }

    /// The lock of this name, unless anybody has it or uses what it stands for.
    pub(crate) fn unless_in_use(&self, name: &str) -> Result<Option<Lock>, ArtifactError> {
        let (file, path) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(ArtifactError::io("lock", &path)(error)),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), ArtifactError> {
        let path = self.folder("locks")?.join(format!("{name}.lock"));
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        Ok((open.map_err(ArtifactError::io("open", &path))?, path))
    }

    /// Fails if the file system of the cache has less than `needed` bytes free.
    pub(crate) fn require_space(&self, needed: u64) -> Result<(), ArtifactError> {
        fs::create_dir_all(&self.root).map_err(ArtifactError::io("create", &self.root))?;
        let stat =
            rustix::fs::statvfs(&self.root).map_err(|error| ArtifactError::io("measure", &self.root)(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < needed {
            return Err(ArtifactError::NoSpace { path: self.root.clone(), needed, free });
        }
        Ok(())
    }
}

/// Held until dropped; the system releases it when the process ends in any way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes a folder in one piece: `build` fills a new, empty folder, which then takes the final name.
/// Does nothing if the folder exists; what an interrupted run left is thrown away.
pub(crate) async fn make_folder<B, F>(path: &Path, build: B) -> Result<(), ArtifactError>
where
    B: FnOnce(PathBuf) -> F,
    F: Future<Output = Result<(), ArtifactError>>,
{
    if path.exists() {
        return Ok(());
    }
    let part = path.with_added_extension("part");
    remove(&part)?;
    fs::create_dir_all(&part).map_err(ArtifactError::io("create", &part))?;
    build(part.clone()).await?;
    fs::rename(&part, path).map_err(ArtifactError::io("rename", &part))
}

/// Removes a folder with all its content, if it exists.
pub(crate) fn remove(path: &Path) -> Result<(), ArtifactError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ArtifactError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes all other folders beside `keep`: what earlier recipes left.
pub(crate) fn remove_siblings(keep: &Path) -> Result<(), ArtifactError> {
    let Some(parent) = keep.parent() else { return Ok(()) };
    for entry in fs::read_dir(parent).map_err(ArtifactError::io("list", parent))? {
        let path = entry.map_err(ArtifactError::io("list", parent))?.path();
        if path != keep {
            remove(&path)?;
        }
    }
    Ok(())
}

/// The folders beside `keep` that were made longer ago than this.
pub(crate) fn old_siblings(keep: &Path, age: Duration) -> Result<Vec<PathBuf>, ArtifactError> {
    let Some(parent) = keep.parent() else { return Ok(Vec::new()) };
    let list = || ArtifactError::io("list", parent);
    let mut old = Vec::new();
    for entry in fs::read_dir(parent).map_err(list())? {
        let entry = entry.map_err(list())?;
        let made = entry.metadata().and_then(|data| data.modified()).map_err(list())?;
        if entry.path() != keep && made.elapsed().unwrap_or_default() > age {
            old.push(entry.path());
        }
    }
    Ok(old)
}

/// How many bytes the files in a folder hold; what cannot be read counts as nothing.
pub(crate) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Hash of named parts, short enough for a folder name.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = Vec::new();
    for part in parts {
        // With its length in front no part can pass for the end of another.
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    Digest::of(&text).short(16).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skiff_report::{Recorder, Silent};

    use super::*;

    fn failure() -> ArtifactError {
        ArtifactError::HostUnsupported { host: "test".to_owned() }
    }

    #[test]
    fn keys_tell_parts_apart() {
        assert_eq!(key(["a", "bc"]), key(["a", "bc"]));
        assert_ne!(key(["a", "bc"]), key(["ab", "c"]));
        assert_eq!(key(["a"]).len(), 16);
    }

    #[tokio::test]
    async fn a_folder_appears_only_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stage");
        let failed = make_folder(&path, |part| async move {
            fs::write(part.join("half"), "").unwrap();
            Err(failure())
        });
        assert!(failed.await.is_err());
        assert!(!path.exists());

        let retried = make_folder(&path, |part| async move {
            assert!(!part.join("half").exists(), "the failed run's files are gone");
            fs::write(part.join("whole"), "").unwrap();
            Ok(())
        });
        retried.await.unwrap();
        assert!(path.join("whole").exists());
        make_folder(&path, |_| async { Err(failure()) }).await.expect("a complete folder is not made again");
    }

    #[tokio::test]
    async fn a_waiting_process_says_for_whom() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        let first = cache.lock("debian", "building v1.20.2", &Silent).await.unwrap();
        let recorder = Arc::new(Recorder::default());
        let (other, log) = (cache.clone(), Arc::clone(&recorder));
        let second = tokio::spawn(async move { other.lock("debian", "building", log.as_ref()).await.map(drop) });
        while recorder.events().is_empty() {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(first);
        second.await.unwrap().unwrap();
        let said = format!("waiting for another skiff (process {}, building v1.20.2)", std::process::id());
        assert_eq!(recorder.events(), [Event::Info(said)]);
    }

    #[test]
    fn too_little_room_is_an_error_with_both_sizes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("new"));
        cache.require_space(1).unwrap();
        let error = cache.require_space(u64::MAX).unwrap_err();
        assert!(matches!(error, ArtifactError::NoSpace { needed: u64::MAX, .. }), "{error}");
    }

    #[test]
    fn only_old_folders_make_room_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["new", "young", "old"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let yesterday = std::time::SystemTime::now() - Duration::from_hours(24);
        File::open(dir.path().join("old")).unwrap().set_modified(yesterday).unwrap();
        let old = old_siblings(&dir.path().join("new"), Duration::from_hours(1)).unwrap();
        assert_eq!(old, [dir.path().join("old")]);
    }

    #[test]
    fn only_the_newest_recipes_folder_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["old", "old.part", "new"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        remove_siblings(&dir.path().join("new")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
