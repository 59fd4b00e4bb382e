//! Files that appear whole or not at all.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
};

use tempfile::NamedTempFile;

use crate::{StoreError, process::exists};

/// How the names of files begin that are being written; the writer's process id follows.
const UNFINISHED: &str = ".unfinished-";

/// Makes a folder and those above it, 0700.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::Folder { path: path.to_owned(), source })
}

/// Writes a file of mode 0600. Whoever reads it, even after a crash, sees the old or the new bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_all([(path.to_owned(), bytes)])
}

/// Writes files as [`write()`] does, one whole file after the other in the order given. All are
/// synced before the first gets its name, which costs about as much as syncing one.
pub(crate) fn write_all<'a>(files: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<(), StoreError> {
    let mut written = Vec::new();
    for (path, bytes) in files {
        let folder = path.parent().unwrap_or(Path::new("/"));
        make_folder(folder)?;
        let file = begin(folder, bytes).map_err(|source| StoreError::Write { path: path.clone(), source })?;
        written.push((path, file));
    }
    for (path, file) in &written {
        file.as_file().sync_all().map_err(|source| StoreError::Write { path: path.clone(), source })?;
    }
    let mut folders = BTreeSet::new();
    for (path, file) in written {
        file.persist(&path).map_err(|error| StoreError::Write { path: path.clone(), source: error.error })?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    // The new names are safe only when their folders are.
    folders.into_iter().try_for_each(|path| {
        File::open(&path).and_then(|folder| folder.sync_all()).map_err(|source| StoreError::Write { path, source })
    })
}

/// A file that has no place yet.
fn begin(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    // The file is made 0600.
    let mut file = tempfile::Builder::new().prefix(&format!("{UNFINISHED}{}-", process::id())).tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Reads a file; `None` if it is absent.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Read { path: path.to_owned(), source }),
    }
}

/// A name beside `path` under which it can be taken away at one stroke.
pub(crate) fn trash_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{UNFINISHED}{}-{name}", process::id()))
}

/// True for a file or folder that is being written or removed, or was when its process died.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}

/// Removes what processes that are gone left behind in a folder and those below it, so far as that
/// is possible. What is left does no harm.
pub(crate) fn clean(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let writer = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)?.split('-').next()?.parse().ok());
        match writer {
            Some(pid) if exists(pid) => {}
            Some(_) if is_folder => drop(fs::remove_dir_all(entry.path())),
            Some(_) => drop(fs::remove_file(entry.path())),
            None if is_folder => clean(&entry.path()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_private_and_leave_nothing_beside_them() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/key");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_of_the_dead_are_removed_and_work_of_the_living_is_not() {
        let home = tempfile::tempdir().unwrap();
        let below = home.path().join("profile");
        fs::create_dir(&below).unwrap();
        let dead = below.join(format!("{UNFINISHED}{}-x", u32::MAX));
        let dead_folder = home.path().join(format!("{UNFINISHED}{}-y", u32::MAX));
        let living = below.join(format!("{UNFINISHED}{}-x", process::id()));
        fs::write(&dead, "half").unwrap();
        fs::create_dir(&dead_folder).unwrap();
        fs::write(dead_folder.join("key"), "old").unwrap();
        fs::write(&living, "half").unwrap();
        clean(home.path());
        assert!(!dead.exists() && !dead_folder.exists() && living.exists());
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        let error = write(&path, b"new").unwrap_err();
        assert!(matches!(error, StoreError::Write { .. }), "{error}");
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
