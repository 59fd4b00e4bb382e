//! Files taken out of the base archive for images of ours.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use tar::{Archive, EntryType};

use crate::images::Entry;

/// What kube-proxy's image needs. Lists are written by the base's last hook: one absolute path a line.
pub(super) const PROXY_LIST: &str = "usr/lib/skiff/kube-proxy.files";
/// What the registry's image needs.
pub(super) const REGISTRY_LIST: &str = "usr/lib/skiff/docker-registry.files";

/// Copies what a list names from the base archive into a folder, which is made.
///
/// # Errors
/// When the archive cannot be read, holds no such list or lacks a file of it.
pub(super) fn listed(list_path: &str, base: &Path, folder: &Path) -> io::Result<Vec<Entry>> {
    std::fs::create_dir_all(folder)?;
    let mut list = String::new();
    for_each(base, |path, entry| {
        let found = path == list_path;
        if found {
            entry.read_to_string(&mut list)?;
        }
        Ok(!found)
    })?;
    let mut wanted: BTreeSet<&str> = list.lines().map(|line| line.trim_start_matches('/')).collect();
    if wanted.is_empty() {
        return Err(missing(list_path));
    }
    let mut entries = Vec::new();
    for_each(base, |path, entry| {
        if wanted.remove(path) {
            entries.push(copy(path, entry, folder, entries.len())?);
        }
        Ok(!wanted.is_empty())
    })?;
    match wanted.first() {
        Some(path) => Err(missing(path)),
        None => Ok(entries),
    }
}

fn copy<R: Read>(path: &str, entry: &mut tar::Entry<'_, R>, folder: &Path, number: usize) -> io::Result<Entry> {
    match entry.header().entry_type() {
        EntryType::Regular => {
            let mode = entry.header().mode()? & 0o777;
            let file = folder.join(number.to_string());
            io::copy(entry, &mut File::create(&file)?)?;
            Ok(Entry::file(path, file, mode))
        }
        EntryType::Symlink => {
            let target = entry.link_name()?.map(|target| target.display().to_string()).unwrap_or_default();
            Ok(Entry::link(path, &target))
        }
        other => Err(io::Error::other(format!("{path} is neither file nor link in the archive ({other:?})"))),
    }
}

/// Calls `visit` with each entry until it returns false.
fn for_each(
    base: &Path,
    mut visit: impl FnMut(&str, &mut tar::Entry<'_, BufReader<File>>) -> io::Result<bool>,
) -> io::Result<()> {
    let mut archive = Archive::new(BufReader::new(File::open(base)?));
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.into_owned();
        let path = path.to_string_lossy();
        if !visit(path.strip_prefix("./").unwrap_or(&path), &mut entry)? {
            break;
        }
    }
    Ok(())
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the base archive has no {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{images::Content, rootfs::tree::header};

    fn base(dir: &Path, list: &str) -> PathBuf {
        let path = dir.join("base.tar");
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        let mut add = |path: &str, text: &str| {
            let mut header = header(EntryType::Regular, 0o755, text.len() as u64);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        };
        add("./usr/bin/tool", "program");
        add("./usr/lib/liba.so.1.2", "library");
        add(&format!("./{PROXY_LIST}"), list);
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), "./usr/lib/liba.so.1", "liba.so.1.2").unwrap();
        archive.finish().unwrap();
        path
    }

    #[test]
    fn listed_files_and_links_are_taken_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let base = base(dir.path(), "/usr/lib/liba.so.1\n/usr/lib/liba.so.1.2\n");
        let entries = listed(PROXY_LIST, &base, dir.path()).unwrap();
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["usr/lib/liba.so.1.2", "usr/lib/liba.so.1"]);
        let Content::File { source, mode } = &entries[0].content else { panic!("{entries:?}") };
        assert_eq!((std::fs::read_to_string(source).unwrap().as_str(), *mode), ("library", 0o755));
        assert_eq!(entries[1].content, Content::Link("liba.so.1.2".to_owned()));
    }

    #[test]
    fn a_listed_file_that_is_absent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let base = base(dir.path(), "/usr/bin/absent\n");
        let error = listed(PROXY_LIST, &base, dir.path()).unwrap_err();
        assert!(error.to_string().contains("usr/bin/absent"), "{error}");
        let error = listed(REGISTRY_LIST, &base, dir.path()).unwrap_err();
        assert!(error.to_string().contains(REGISTRY_LIST), "{error}");
    }
}
