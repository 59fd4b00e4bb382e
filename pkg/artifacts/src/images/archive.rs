//! Writes an image as an archive in docker's format.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Seek, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{Content, Digest, HashingWriter, ImageSpec};

/// An image that lies on disk as an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenImage {
    /// Full name with tag.
    pub(crate) reference: String,
    /// The archive.
    pub(crate) path: PathBuf,
    /// Digest of its only layer, unpacked: the layer's diff id and its chain id in one.
    pub(crate) layer: Digest,
    /// Digest of its configuration: the image id.
    pub(crate) config: Digest,
}

/// Writes `spec` to `path`. The bytes depend on the spec and the content of its files alone.
///
/// # Errors
/// When a file of the spec cannot be read or the archive cannot be written.
pub(crate) fn write_archive(spec: &ImageSpec, path: &Path) -> io::Result<WrittenImage> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // The layer's digest goes into the configuration, so the layer is written first, on its own.
    let mut layer_file = tempfile::tempfile_in(folder)?;
    let layer = write_layer(spec, &mut layer_file)?;
    let size = layer_file.seek(io::SeekFrom::End(0))?;
    layer_file.rewind()?;

    let config = config_json(spec, &layer)?;
    let config_digest = Digest::of(&config);
    let config_name = format!("{config_digest}.json");
    let manifest =
        json!([{ "Config": config_name, "RepoTags": [spec.reference], "Layers": [format!("{layer}/layer.tar")] }]);
    let mut archive = Builder::new(BufWriter::new(File::create(path)?));
    append_bytes(&mut archive, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
    append_bytes(&mut archive, &config_name, &config, 0o644)?;
    let mut header = header(EntryType::Regular, size, 0o644);
    archive.append_data(&mut header, format!("{layer}/layer.tar"), &mut layer_file)?;
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(WrittenImage { reference: spec.reference.clone(), path: path.to_owned(), layer, config: config_digest })
}

fn write_layer(spec: &ImageSpec, out: &mut File) -> io::Result<Digest> {
    let entries: BTreeMap<&str, &Content> =
        spec.entries.iter().map(|entry| (entry.path.as_str(), &entry.content)).collect();
    let mut layer = Builder::new(HashingWriter::new(BufWriter::new(out)));
    let mut folder = String::new();
    for (path, content) in entries {
        // Sorted paths keep the entries of a folder together, so one comparison finds new folders.
        for (slash, _) in path.match_indices('/') {
            let parent = &path[..=slash];
            if !folder.starts_with(parent) {
                parent.clone_into(&mut folder);
                layer.append_data(&mut header(EntryType::Directory, 0, 0o755), parent, io::empty())?;
            }
        }
        match content {
            Content::File { source, mode } => {
                let mut file = File::open(source)?;
                let size = file.metadata()?.len();
                layer.append_data(&mut header(EntryType::Regular, size, *mode), path, &mut file)?;
            }
            Content::Bytes { bytes, mode } => append_bytes(&mut layer, path, bytes, *mode)?,
            Content::Link(target) => {
                layer.append_link(&mut header(EntryType::Symlink, 0, 0o777), path, target)?;
            }
        }
    }
    let (mut buffer, digest) = layer.into_inner()?.finish();
    buffer.flush()?;
    Ok(digest)
}

fn append_bytes<W: Write>(archive: &mut Builder<W>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    archive.append_data(&mut header(EntryType::Regular, bytes.len() as u64, mode), path, bytes)
}

/// A header that says nothing about who wrote it and when.
fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn config_json(spec: &ImageSpec, layer: &Digest) -> io::Result<Vec<u8>> {
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": spec.config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "skiff" }],
    });
    serde_json::to_vec(&config).map_err(io::Error::other)
}

/// This machine's architecture under the name that Go and the image specification use.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Read};

    use super::*;
    use crate::images::{Entry, RunConfig};

    fn sample(source: &Path) -> ImageSpec {
        ImageSpec {
            reference: "example.test/thing:1".to_owned(),
            entries: vec![
                Entry::program("usr/bin/thing", source),
                Entry::link("bin", "usr/bin"),
                Entry::bytes("usr/lib/note", "hello", 0o644),
            ],
            config: RunConfig { cmd: vec!["thing".to_owned()], ..RunConfig::default() },
        }
    }

    fn read(path: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(File::open(path).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        });
        entries.collect()
    }

    #[test]
    fn an_archive_holds_manifest_configuration_and_one_layer_that_name_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("thing");
        std::fs::write(&source, "program").unwrap();
        let image = write_archive(&sample(&source), &dir.path().join("image.tar")).unwrap();
        let files = read(&image.path);

        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "example.test/thing:1");
        let config_bytes = &files[manifest[0]["Config"].as_str().unwrap()];
        assert_eq!(Digest::of(config_bytes), image.config);
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(Digest::of(layer), image.layer);
        let config: serde_json::Value = serde_json::from_slice(config_bytes).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", image.layer));
        assert_eq!(config["config"], json!({ "Cmd": ["thing"] }));
    }

    #[test]
    fn a_layer_lists_each_folder_once_and_before_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("thing");
        std::fs::write(&source, "program").unwrap();
        let mut layer = tempfile::tempfile().unwrap();
        write_layer(&sample(&source), &mut layer).unwrap();
        layer.rewind().unwrap();
        let mut archive = tar::Archive::new(layer);
        let paths: Vec<String> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["bin", "usr/", "usr/bin/", "usr/bin/thing", "usr/lib/", "usr/lib/note"]);
        assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("thing");
        std::fs::write(&source, "program").unwrap();
        let mut turned = sample(&source);
        turned.entries.reverse();
        let first = write_archive(&sample(&source), &dir.path().join("1.tar")).unwrap();
        let second = write_archive(&turned, &dir.path().join("2.tar")).unwrap();
        assert_eq!(Digest::of_file(&first.path).unwrap(), Digest::of_file(&second.path).unwrap());
    }
}
