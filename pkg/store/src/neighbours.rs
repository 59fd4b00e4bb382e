//! Homes of one user that share a host. They have a folder in common, below the one for temporary
//! files: it goes with a reboot, and so do all locks and every port that somebody listens on.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// Names of the files that name a home each.
const PREFIX: &str = "home-";

/// Makes a home known in the folder. False if the folder cannot be used: anybody may make one of that
/// name there, so it must be this user's, and nobody else may write to it.
pub(crate) fn join(folder: &Path, home: &Path) -> bool {
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    let there = made.is_ok() || made.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
    let own = |meta: fs::Metadata| {
        meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
    };
    if !there || !fs::symlink_metadata(folder).is_ok_and(own) {
        return false;
    }
    let mut hash = DefaultHasher::new();
    home.hash(&mut hash);
    let file = folder.join(format!("{PREFIX}{:016x}", hash.finish()));
    file.exists() || fs::write(file, home.as_os_str().as_bytes()).is_ok()
}

/// The homes that are known there; forgets those that are gone.
pub(crate) fn homes(folder: &Path) -> Vec<PathBuf> {
    let mut homes = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(bytes) = fs::read(entry.path()) else { continue };
        let home = PathBuf::from(std::ffi::OsString::from_vec(bytes));
        if home.is_dir() {
            homes.push(home);
        } else {
            // Should somebody make it again meanwhile, it makes itself known again.
            let _ = fs::remove_file(entry.path());
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::Store;

    fn home(folder: &Path, name: &str) -> Store {
        Store::open(folder.join(name)).unwrap().sharing(folder.join("common"))
    }

    #[test]
    fn homes_know_each_other_as_long_as_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (home(folder.path(), "one"), home(folder.path(), "other"));
        let seen = |store: &Store| store.neighbours().iter().map(|home| home.home().to_owned()).collect::<Vec<_>>();
        assert_eq!((seen(&one), seen(&other)), (vec![other.home().to_owned()], vec![one.home().to_owned()]));
        fs::remove_dir_all(other.home()).unwrap();
        assert!(seen(&one).is_empty());
        assert!(Store::open(folder.path().join("alone")).unwrap().neighbours().is_empty());
    }

    #[tokio::test]
    async fn homes_queue_together() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (home(folder.path(), "one"), home(folder.path(), "other"));
        let held = one.place(1, "skiff start", |_| {}).await.unwrap();
        let told = std::cell::Cell::new(false);
        let mut waits = std::pin::pin!(other.place(1, "skiff start", |_| told.set(true)));
        let soon = std::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(soon, waits.as_mut()).await.is_err());
        assert!(told.get());
        drop(held);
        waits.await.unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (open, link) = (folder.path().join("open"), folder.path().join("link"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(folder.path(), &link).unwrap();
        assert!(!join(&open, Path::new("/home")) && !join(&link, Path::new("/home")));
    }
}
