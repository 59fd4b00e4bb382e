//! The folders behind the volumes. Each lies directly below the root and is named like its volume.
//! No link is ever followed, so nothing that a pod puts into its volume leads anywhere else.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// Whatever user a pod runs as must be able to write.
const OPEN_MODE: u32 = 0o777;
/// What a folder's name starts with once it is doomed. No volume is named like this.
const DOOMED: &str = ".deleted-";

/// The name of a volume, safe to be used as the name of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VolumeName(String);

impl VolumeName {
    /// Takes names that the API server would take for an object and no others.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let safe = !name.is_empty() && name.len() <= 240 && !name.starts_with('.') && name.chars().all(fits);
        safe.then(|| Self(name.to_owned()))
    }

    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// All volumes' folders on this node.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: PathBuf,
}

impl Folders {
    /// Takes `root` into use and finishes the deletions that an earlier run was cut off in.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        if !fs::symlink_metadata(root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let folders = Self { root: root.to_owned() };
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(DOOMED) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(folders)
    }

    /// Where a volume's folder is.
    pub(crate) fn path(&self, volume: &VolumeName) -> PathBuf {
        self.root.join(&volume.0)
    }

    /// Makes a volume's folder, open to all users; one that is there already is kept with all it holds.
    pub(crate) fn create(&self, volume: &VolumeName) -> io::Result<()> {
        let path = self.path(volume);
        match fs::DirBuilder::new().mode(OPEN_MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The process's mask may have taken bits away. Fails for anything but a folder.
        let folder = rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fchmod(&folder, Mode::from_raw_mode(OPEN_MODE))?)
    }

    /// Removes a volume's folder if there is nothing in it. One that is gone or in use is left alone.
    pub(crate) fn remove_empty(&self, volume: &VolumeName) -> io::Result<()> {
        match fs::remove_dir(self.path(volume)) {
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            done => done,
        }
    }

    /// Removes a volume's folder with all it holds. Says whether there was one.
    pub(crate) fn remove(&self, volume: &VolumeName) -> io::Result<bool> {
        let doomed = self.root.join(format!("{DOOMED}{}", volume.0));
        remove_tree(&doomed)?;
        // The new name is what an interrupted removal is found by later.
        match fs::rename(self.path(volume), &doomed) {
            Err(error) if is_gone(&error) => return Ok(false),
            renamed => renamed?,
        }
        remove_tree(&doomed).map(|()| true)
    }
}

/// Removes whatever is at `path` without following links; the standard library's removal of trees opens
/// each folder relative to its parent and refuses links, so that a racing pod cannot divert it.
fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if is_gone(&error) => Ok(()),
        done => done,
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn name(text: &str) -> VolumeName {
        VolumeName::parse(text).unwrap()
    }

    fn folders() -> (tempfile::TempDir, Folders) {
        let temporary = tempfile::tempdir().unwrap();
        let folders = Folders::open(&temporary.path().join("a/root")).unwrap();
        (temporary, folders)
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", ".", "..", "a/b", "/a", ".deleted-a", "a b", "A", "a\0", &"a".repeat(241)] {
            assert_eq!(VolumeName::parse(bad), None, "{bad:?}");
        }
        assert_eq!(name("pvc-0a.b").as_str(), "pvc-0a.b");
    }

    #[test]
    fn a_folder_is_open_to_all_and_making_it_again_keeps_what_it_holds() {
        let (_temporary, folders) = folders();
        let volume = name("pvc-1");
        folders.create(&volume).unwrap();
        let path = folders.path(&volume);
        fs::write(path.join("data"), "kept").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        folders.create(&volume).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o777);
        assert_eq!(fs::read_to_string(path.join("data")).unwrap(), "kept");
    }

    #[test]
    fn a_link_or_a_file_in_a_folders_place_is_refused() {
        let (temporary, folders) = folders();
        let outside = temporary.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&outside, folders.path(&name("linked"))).unwrap();
        fs::write(folders.path(&name("file")), "").unwrap();
        assert!(folders.create(&name("linked")).is_err());
        assert!(folders.create(&name("file")).is_err());
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn removal_takes_all_and_follows_no_links() {
        let (temporary, folders) = folders();
        let outside = temporary.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        let volume = name("pvc-1");
        folders.create(&volume).unwrap();
        let path = folders.path(&volume);
        fs::create_dir_all(path.join("deep/er")).unwrap();
        symlink(&outside, path.join("deep/link")).unwrap();
        folders.remove(&volume).unwrap();
        assert!(!path.exists());

        symlink(&outside, &path).unwrap();
        folders.remove(&volume).unwrap();
        assert!(fs::symlink_metadata(&path).is_err());
        assert!(outside.join("precious").exists());
        assert!(!folders.remove(&volume).unwrap(), "nothing was left to remove");
    }

    #[test]
    fn an_interrupted_removal_is_finished_at_the_next_start_or_try() {
        let (_temporary, folders) = folders();
        let doomed = folders.root.join(".deleted-pvc-1");
        fs::create_dir_all(doomed.join("rest")).unwrap();
        Folders::open(&folders.root).unwrap();
        assert!(!doomed.exists());

        fs::create_dir_all(doomed.join("rest")).unwrap();
        folders.create(&name("pvc-1")).unwrap();
        folders.remove(&name("pvc-1")).unwrap();
        assert!(!doomed.exists());
    }

    #[test]
    fn only_an_empty_folder_is_tidied_away() {
        let (_temporary, folders) = folders();
        let volume = name("pvc-1");
        folders.remove_empty(&volume).unwrap();
        folders.create(&volume).unwrap();
        let data = folders.path(&volume).join("data");
        fs::write(&data, "").unwrap();
        folders.remove_empty(&volume).unwrap();
        assert!(data.exists());
        fs::remove_file(&data).unwrap();
        folders.remove_empty(&volume).unwrap();
        assert!(!folders.path(&volume).exists());
    }

    #[test]
    fn a_root_that_is_a_link_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let link = temporary.path().join("root");
        symlink(temporary.path(), &link).unwrap();
        assert!(Folders::open(&link).is_err());
    }
}
