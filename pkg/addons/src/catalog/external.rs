//! Catalogs that the user added: a folder, or an archive from a URL that is pinned by its hash.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{Catalog, fetch};
use crate::AddonError;

/// The list of catalogs.
const LIST: &str = "catalogs.json";
/// More than any catalog needs; an archive may claim to hold more than the disk does.
const MOST_BYTES: u64 = 64 << 20;

/// A catalog that the user added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// A folder, or the URL of a tar archive (plain or gzip).
    pub location: String,
    /// What must come from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Source {
    fn is_url(&self) -> bool {
        self.location.starts_with("http://") || self.location.starts_with("https://")
    }

    fn unreadable(&self, source: io::Error) -> AddonError {
        AddonError::CatalogRead { name: self.name.clone(), location: self.location.clone(), source }
    }

    /// Refuses anything but what is pinned.
    fn verify(&self, found: String) -> Result<(), AddonError> {
        match &self.sha256 {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&found) => {
                Err(AddonError::Hash { name: self.name.clone(), wanted: wanted.clone(), found })
            }
            None if self.is_url() => Err(AddonError::Unpinned { location: self.location.clone(), found }),
            _ => Ok(()),
        }
    }

    fn parse(&self, files: &BTreeMap<String, String>) -> Result<Catalog, AddonError> {
        let catalog = Catalog::from_files(&self.name, files.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
        if catalog.addons.is_empty() {
            let problem = format!("{} holds no addons: each is a folder with an addon.yaml", self.location);
            return Err(AddonError::Entries { problems: vec![problem] });
        }
        Ok(catalog)
    }
}

/// The catalogs that the user added, in a folder of skiff's.
#[derive(Debug, Clone)]
pub struct Sources {
    folder: PathBuf,
}

impl Sources {
    /// Those of a folder, which need not exist.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All of them.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn list(&self) -> Result<Vec<Source>, AddonError> {
        let path = self.folder.join(LIST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(AddonError::CatalogFile { path, source }),
        };
        serde_json::from_str(&text).map_err(|error| AddonError::CatalogFile { path, source: io::Error::other(error) })
    }

    /// Adds a catalog, or puts another in the place of one of the same name. Returns what it holds.
    ///
    /// # Errors
    /// When it cannot be had, is not what is pinned, or does not follow the format: nothing changes then.
    pub async fn add(&self, source: Source) -> Result<Catalog, AddonError> {
        let catalog = if source.is_url() {
            let bytes = fetch::get(&source.location, MOST_BYTES).await.map_err(|error| source.unreadable(error))?;
            source.verify(hash(&bytes))?;
            let catalog = source.parse(&unpack(&bytes).map_err(|error| source.unreadable(error))?)?;
            self.write(&archive(&source.name), &bytes)?;
            catalog
        } else {
            let folder = fs::canonicalize(&source.location).map_err(|error| source.unreadable(error))?;
            let source = Source { location: folder.display().to_string(), ..source };
            let catalog = from_folder(&source)?;
            return self.note(source).map(|()| catalog);
        };
        self.note(source).map(|()| catalog)
    }

    /// Removes a catalog; false if there is none of that name. What its addons brought into clusters stays
    /// until they are disabled.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn remove(&self, name: &str) -> Result<bool, AddonError> {
        let mut sources = self.list()?;
        let before = sources.len();
        sources.retain(|source| source.name != name);
        if sources.len() == before {
            return Ok(false);
        }
        self.write_list(&sources)?;
        // One that is left does no harm: nothing names it.
        let _ = fs::remove_file(self.folder.join(archive(name)));
        Ok(true)
    }

    /// What one of them holds now.
    pub(super) fn load(&self, source: &Source) -> Result<Catalog, AddonError> {
        if !source.is_url() {
            return from_folder(source);
        }
        let bytes = fs::read(self.folder.join(archive(&source.name))).map_err(|error| source.unreadable(error))?;
        source.verify(hash(&bytes))?;
        source.parse(&unpack(&bytes).map_err(|error| source.unreadable(error))?)
    }

    fn note(&self, source: Source) -> Result<(), AddonError> {
        let mut sources = self.list()?;
        sources.retain(|other| other.name != source.name);
        sources.push(source);
        self.write_list(&sources)
    }

    fn write_list(&self, sources: &[Source]) -> Result<(), AddonError> {
        let text = serde_json::to_vec_pretty(sources).unwrap_or_default();
        self.write(LIST, &text)
    }

    /// Whole or not at all.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), AddonError> {
        let path = self.folder.join(file);
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut new = NamedTempFile::new_in(&self.folder)?;
            new.write_all(bytes)?;
            new.as_file().sync_all()?;
            new.persist(&path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|source| AddonError::CatalogFile { path: path.clone(), source })
    }
}

fn archive(name: &str) -> String {
    format!("{name}.archive")
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder's YAML files, pinned as a whole: names and contents, in order.
fn from_folder(source: &Source) -> Result<Catalog, AddonError> {
    let files = read_folder(Path::new(&source.location)).map_err(|error| source.unreadable(error))?;
    let mut all = Sha256::new();
    for (path, text) in &files {
        all.update(format!("{path}\0{}\0{text}", text.len()));
    }
    source.verify(hex(&all.finalize()))?;
    source.parse(&files)
}

/// `<addon>/<file>` and its text, for each folder that has an `addon.yaml`.
fn read_folder(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let addon = entry?.path();
        if !addon.join("addon.yaml").is_file() {
            continue;
        }
        for file in fs::read_dir(&addon)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let relative = path.strip_prefix(folder).map_err(io::Error::other)?;
                files.insert(relative.display().to_string(), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(files)
}

/// Likewise from an archive; folders above those of addons do not count.
fn unpack(bytes: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let gzip = bytes.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn io::Read + '_> = if gzip { Box::new(GzDecoder::new(bytes)) } else { Box::new(bytes) };
    let mut archive = tar::Archive::new(reader.take(MOST_BYTES));
    let mut found: BTreeMap<PathBuf, String> = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_file() && path.extension().is_some_and(|extension| extension == "yaml") {
            let mut text = String::new();
            let _ = entry.read_to_string(&mut text)?;
            found.insert(path, text);
        }
    }
    let addon = |path: &Path| path.parent().is_some_and(|folder| found.contains_key(&folder.join("addon.yaml")));
    let name = |path: &Path| {
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        parts[parts.len().saturating_sub(2)..].join("/")
    };
    Ok(found.iter().filter(|(path, _)| addon(path)).map(|(path, text)| (name(path), text.clone())).collect())
}

#[cfg(test)]
mod tests;
