//! Seed files as an archive that the Engine unpacks into a container.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use skiff_driver::SeedFile;
use tar::{Builder, Header};

/// Packs the files as an archive to be unpacked at `/`. Folders are not in it: the Engine makes
/// missing ones with mode 0755 and leaves those of the image as they are.
pub(crate) fn archive(files: &[SeedFile]) -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut builder = Builder::new(Vec::new());
    for file in files {
        let mut header = Header::new_gnu();
        header.set_size(file.contents.len() as u64);
        header.set_mode(file.mode);
        header.set_mtime(now);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, file.path.trim_start_matches('/'), file.contents.as_slice())?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tar::Archive;

    use super::*;

    #[test]
    fn files_keep_their_mode_and_belong_to_root() {
        let long = format!("/etc/{}file", "deep/".repeat(40));
        let files = [
            SeedFile { path: "/etc/machine-id".to_owned(), mode: 0o444, contents: b"id\n".to_vec() },
            SeedFile { path: long.clone(), mode: 0o600, contents: b"key".to_vec() },
        ];
        let bytes = archive(&files).unwrap();
        let mut archive = Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut contents = String::new();
                entry.read_to_string(&mut contents).unwrap();
                let path = format!("/{}", entry.path().unwrap().display());
                (path, entry.header().mode().unwrap(), entry.header().uid().unwrap(), contents)
            })
            .collect();
        assert_eq!(
            entries,
            [("/etc/machine-id".to_owned(), 0o444, 0, "id\n".to_owned()), (long, 0o600, 0, "key".to_owned())]
        );
    }
}
