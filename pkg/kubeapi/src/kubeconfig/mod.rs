//! The user's kubeconfig: entries of skiff's clusters beside everybody else's.
//!
//! Files are edited as trees, under the lock that kubectl honours, and replaced in one step. What is
//! not skiff's stays: unknown fields, other entries, links, owners, modes; but a file that a key
//! is put into is its owner's alone from then on. Comments do not survive, as with kubectl. Files that cannot be read as kubeconfig are left alone.
//!
//! All functions block for the time of a few file operations, and up to 10 s while somebody else has
//! the lock. `paths` are the files of `$KUBECONFIG`, in order; they need not exist.

mod document;
mod entry;
mod file;
mod lock;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::KubeError;
use document::{Document, Part};
pub use entry::{Credentials, Entry};

/// Where a merged entry is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The file that has it.
    pub file: PathBuf,
    /// Whether a file was written.
    pub changed: bool,
    /// Whether the entry is the current context.
    pub current: bool,
}

/// Writes cluster, user and context of one name, and makes them the current context if `set_current`.
/// Edits the first file that has an entry of that name, else the first that exists, else makes the
/// first. Fields that skiff does not set, such as the context's namespace, stay. Nothing is written
/// when nothing changes.
///
/// # Errors
/// When a file cannot be read, locked or written, is no kubeconfig, or has an entry of that name that
/// is not skiff's.
pub fn merge(paths: &[PathBuf], entry: &Entry, set_current: bool) -> Result<Merged, KubeError> {
    let documents = load_all(paths)?;
    let (file, before) = place(&documents, entry)?;
    let deciding = deciding(&documents);
    let decides = deciding.is_none_or(|(path, _)| path == file);
    let now = Zoned::now();
    let mut changed = file::edit(file, before, |document| {
        entry::merge(document, file, entry, &now)?;
        if set_current && decides {
            document.set_current_context(&entry.name);
        }
        Ok(())
    })?;
    if let Some((path, before)) = deciding
        && set_current
        && !decides
    {
        changed |= file::edit(path, before, |document| {
            document.set_current_context(&entry.name);
            Ok(())
        })?;
    }
    let current = deciding.and_then(|(_, document)| document.current_context()) == Some(&entry.name);
    Ok(Merged { file: file.clone(), changed, current: set_current || current })
}

/// Tells beforehand what [`merge`] would refuse. Changes nothing.
///
/// # Errors
/// When a file cannot be read, is no kubeconfig, or has an entry of that name that is not skiff's.
pub fn check(paths: &[PathBuf], entry: &Entry) -> Result<(), KubeError> {
    let documents = load_all(paths)?;
    let (file, document) = place(&documents, entry)?;
    entry::check(document, file, entry)
}

/// Where an entry belongs: in the file that has it, else the first that exists, else the first.
fn place<'a>(documents: &'a [(PathBuf, Document)], entry: &Entry) -> Result<&'a (PathBuf, Document), KubeError> {
    let has = |document: &Document| Part::ALL.into_iter().any(|part| document.body(part, &entry.name).is_some());
    let found = documents.iter().find(|(_, document)| has(document));
    found.or_else(|| documents.iter().find(|(path, _)| path.exists())).or_else(|| documents.first()).ok_or_else(no_path)
}

/// Removes cluster, user and context of one name from all files, where they are skiff's. A current
/// context of that name is reset, unless somebody else's context has the name. Returns whether there
/// was anything to do.
///
/// # Errors
/// When a file cannot be read, locked or written, or is no kubeconfig. All other files are done then.
pub fn remove(paths: &[PathBuf], name: &str) -> Result<bool, KubeError> {
    let mut failure = None;
    let mut keep = |error: KubeError| failure = failure.take().or(Some(error));
    let mut removed = false;
    let mut context_left = false;
    for path in paths {
        let edited = file::load(path).and_then(|before| {
            file::edit(path, &before, |document| {
                entry::remove(document, name);
                context_left |= document.body(Part::Context, name).is_some();
                Ok(())
            })
        });
        edited.map(|changed| removed |= changed).unwrap_or_else(&mut keep);
    }
    // Also if nothing else was left: who edits the file at the same time may have written the name back.
    if !context_left {
        for path in paths {
            let edited = file::load(path).and_then(|before| {
                file::edit(path, &before, |document| {
                    if document.current_context() == Some(name) {
                        document.set_current_context("");
                    }
                    Ok(())
                })
            });
            // A file that cannot be read has failed above already.
            edited.map(|changed| removed |= changed).unwrap_or_else(&mut keep);
        }
    }
    failure.map_or(Ok(removed), Err)
}

/// The server that the context of that name leads to, if there is one.
///
/// # Errors
/// When a file cannot be read or is no kubeconfig.
pub fn endpoint_of(paths: &[PathBuf], name: &str) -> Result<Option<String>, KubeError> {
    let documents = load_all(paths)?;
    let first = |part: Part, name: &str| documents.iter().find_map(|(_, document)| document.body(part, name));
    let text = |body: &serde_yaml::Mapping, key: &str| body.get(key)?.as_str().map(str::to_owned);
    Ok(first(Part::Context, name)
        .and_then(|context| text(context, "cluster"))
        .and_then(|cluster| first(Part::Cluster, &cluster))
        .and_then(|cluster| text(cluster, "server")))
}

/// True if the context of that name has its client certificate within the kubeconfig.
///
/// # Errors
/// When a file cannot be read or is no kubeconfig.
pub fn embeds_certificate(paths: &[PathBuf], name: &str) -> Result<bool, KubeError> {
    let documents = load_all(paths)?;
    let first = |part: Part, name: &str| documents.iter().find_map(|(_, document)| document.body(part, name));
    let user = first(Part::Context, name).and_then(|context| context.get("user")?.as_str());
    Ok(user.and_then(|user| first(Part::User, user)).is_some_and(|user| user.contains_key("client-certificate-data")))
}

/// The current context, if there is one.
///
/// # Errors
/// When a file cannot be read or is no kubeconfig.
pub fn current_context(paths: &[PathBuf]) -> Result<Option<String>, KubeError> {
    let documents = load_all(paths)?;
    let current = documents.iter().find_map(|(_, document)| document.current_context());
    Ok(current.map(str::to_owned))
}

/// Makes a context the current one. Returns false, and changes nothing, if there is no such context.
///
/// # Errors
/// When a file cannot be read, locked or written, or is no kubeconfig.
pub fn use_context(paths: &[PathBuf], name: &str) -> Result<bool, KubeError> {
    let documents = load_all(paths)?;
    let Some(holder) = documents.iter().find(|(_, document)| document.body(Part::Context, name).is_some()) else {
        return Ok(false);
    };
    set_current(deciding(&documents).unwrap_or(holder), name)?;
    Ok(true)
}

/// Leaves no context the current one if it is `name`. Returns false, and changes nothing, otherwise.
///
/// # Errors
/// When a file cannot be read, locked or written, or is no kubeconfig.
pub fn unset_context(paths: &[PathBuf], name: &str) -> Result<bool, KubeError> {
    let documents = load_all(paths)?;
    match deciding(&documents) {
        Some(deciding) if deciding.1.current_context() == Some(name) => set_current(deciding, ""),
        _ => Ok(false),
    }
}

fn set_current((path, before): &(PathBuf, Document), name: &str) -> Result<bool, KubeError> {
    file::edit(path, before, |document| {
        document.set_current_context(name);
        Ok(())
    })
}

/// The first file that names a current context decides for all.
fn deciding(documents: &[(PathBuf, Document)]) -> Option<&(PathBuf, Document)> {
    documents.iter().find(|(_, document)| document.current_context().is_some())
}

fn load_all(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Document)>, KubeError> {
    paths.iter().map(|path| Ok((path.clone(), file::load(path)?))).collect()
}

fn no_path() -> KubeError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no file is named");
    KubeError::KubeconfigWrite { path: Path::new("kubeconfig").to_path_buf(), source }
}
