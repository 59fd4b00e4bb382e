//! Kubeconfig files on disk: read, and edited under lock with one rename.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use super::{
    document::Document,
    lock::{Lock, lock_name},
};
use crate::KubeError;

/// Links that lead to links are followed this far, as the kernel does.
const MOST_LINKS: usize = 40;

/// Somebody who writes is done long before this; a lock file that stays was left behind.
const WHILE_WRITTEN: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(5);

/// Reads a file that nobody is writing: kubectl writes over the old text, under its lock, and whoever
/// looks at that moment sees half of the new one.
pub(super) fn load(path: &Path) -> Result<Document, KubeError> {
    let lock = lock_name(path);
    let end = Instant::now() + WHILE_WRITTEN;
    loop {
        let locked_before = lock.exists();
        let document = read(path);
        if !(locked_before || lock.exists()) || Instant::now() > end {
            return document;
        }
        thread::sleep(STEP);
    }
}

/// Reads a file; one that does not exist is an empty kubeconfig.
fn read(path: &Path) -> Result<Document, KubeError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::new()),
        Err(source) => return Err(KubeError::KubeconfigRead { path: path.to_owned(), source }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Document::parse(&text, path),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let problem = "it is not text in UTF-8".to_owned();
            Err(KubeError::KubeconfigSyntax { path: path.to_owned(), line, problem })
        }
    }
}

/// Changes a file, and returns whether it did. `seen` is the file as it was a moment ago: if that would
/// stay the same, the file is neither locked nor written, so that it may be one that nobody can write.
pub(super) fn edit(
    path: &Path,
    seen: &Document,
    mut change: impl FnMut(&mut Document) -> Result<(), KubeError>,
) -> Result<bool, KubeError> {
    let mut after = seen.clone();
    change(&mut after)?;
    if after == *seen {
        return Ok(false);
    }
    let failed = |source| KubeError::KubeconfigWrite { path: path.to_owned(), source };
    let target = resolve(path).map_err(failed)?;
    for folder in [path.parent(), target.parent()].into_iter().flatten() {
        make_folder(folder).map_err(failed)?;
    }
    let _lock = Lock::take(path, &target)?;
    let before = read(path)?;
    let mut after = before.clone();
    change(&mut after)?;
    if after == before {
        return Ok(false);
    }
    let render = |document: &Document| document.render().map_err(|error| failed(io::Error::other(error)));
    let text = render(&after)?;
    let keys = |text: &str| text.matches("client-key-data:").count();
    // A key is nobody else's to read, even if the file was so far.
    let mode = if keys(&text) > keys(&render(&before)?) { 0o700 } else { 0o7777 };
    replace(&target, &text, mode).map_err(failed)?;
    Ok(true)
}

/// Where links lead to; the end need not exist.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            // An absolute link replaces the whole path.
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "links lead in a circle"))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Puts new content in place of old in one step, with the old one's owner, and of its mode what `mode`
/// leaves.
fn replace(target: &Path, text: &str, mode: u32) -> io::Result<()> {
    let old = match fs::metadata(target) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // KUBECONFIG=/dev/null means "write nothing", not "replace the device by a file".
    if old.as_ref().is_some_and(|old| old.file_type().is_char_device()) {
        return overwrite(target, text);
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(".kubeconfig-", folder)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        let new = file.as_file().metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(fs::Permissions::from_mode(old.mode() & mode))?;
    }
    file.as_file().sync_all()?;
    match file.persist(target) {
        Ok(_) => Ok(()),
        // A file that is a mount point of its own, as in containers, cannot be replaced.
        Err(error) if error.error.kind() == io::ErrorKind::ResourceBusy => overwrite(target, text),
        Err(error) => Err(error.error),
    }
}

fn overwrite(target: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(target)?;
    file.write_all(text.as_bytes())?;
    // Devices have nothing to sync and say so.
    let _ = file.sync_all();
    Ok(())
}
