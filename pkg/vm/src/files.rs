//! Files that appear whole or not at all, for the user alone.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

use crate::VmError;

/// Makes a folder and those above it, 0700.
pub(crate) fn make_folder(path: &Path) -> Result<(), VmError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(VmError::file("create", path))
}

/// Writes a file of mode 0600.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), VmError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let written = NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(VmError::file("write", path))
}

/// Writes a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), VmError> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| VmError::Record { path: path.to_owned(), source })?;
    write(path, &text)
}

/// Reads what [`write_json`] wrote; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VmError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VmError::file("read", path)(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| VmError::Record { path: path.to_owned(), source })
}

/// Removes a file or a folder with all in it, if it exists.
pub(crate) fn remove(path: &Path) -> Result<(), VmError> {
    let removed = match path.symlink_metadata() {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VmError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Names of the folder's entries, sorted; none if it does not exist.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, VmError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(VmError::file("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(VmError::file("list", folder))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Fails if the file system of a folder has less than `needed` bytes free.
pub(crate) fn require_space(folder: &Path, needed: u64) -> Result<(), VmError> {
    make_folder(folder)?;
    let stat = rustix::fs::statvfs(folder).map_err(|error| VmError::file("measure", folder)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < needed {
        let mib = |bytes: u64| bytes >> 20;
        return Err(VmError::NoSpace { path: folder.to_owned(), needed: mib(needed), free: mib(free) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_written_value_is_read_again_and_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.json");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), None);
        write_json(&path, &vec![1u8, 2]).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![1, 2]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        fs::write(&path, "{").unwrap();
        assert!(read_json::<Vec<u8>>(&path).unwrap_err().to_string().contains("x.json"));
    }

    #[test]
    fn removing_what_is_absent_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        remove(&dir.path().join("absent")).unwrap();
        assert_eq!(names(&dir.path().join("absent")).unwrap(), Vec::<String>::new());
        assert!(matches!(require_space(dir.path(), u64::MAX), Err(VmError::NoSpace { .. })));
    }
}
