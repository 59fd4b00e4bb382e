//! Profiles: the folders of clusters.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

use skiff_config::{ClusterFile, ClusterName};

use crate::{Store, StoreError, atomic};

/// A cluster's own file.
const CLUSTER: &str = "cluster.yaml";
/// What happened during the last command that changed the cluster.
const EVENTS: &str = "events.json";

/// The folder of a cluster's logs.
const LOGS: &str = "logs";

/// One profile as found in the skiff home. A damaged one does not hide the others.
#[derive(Debug)]
pub struct ProfileEntry {
    /// The name of its folder.
    pub name: String,
    /// What its file says, or why it says nothing.
    pub cluster: Result<ClusterFile, StoreError>,
}

impl Store {
    /// The folder of a profile.
    #[must_use]
    pub fn profile_dir(&self, name: &ClusterName) -> PathBuf {
        self.profiles_dir().join(name.as_str())
    }

    /// Where a cluster's logs go.
    #[must_use]
    pub fn profile_logs_dir(&self, name: &ClusterName) -> PathBuf {
        self.profile_dir(name).join(LOGS)
    }

    /// The private key for ssh into a cluster's nodes.
    #[must_use]
    pub fn ssh_key_path(&self, name: &ClusterName) -> PathBuf {
        self.profile_dir(name).join("id_ed25519")
    }

    /// The kubeconfig of a cluster alone.
    #[must_use]
    pub fn kubeconfig_path(&self, name: &ClusterName) -> PathBuf {
        self.profile_dir(name).join("kubeconfig")
    }

    /// Reads a cluster's file; `None` if there is no such profile.
    ///
    /// # Errors
    /// When it is unreadable or damaged.
    pub fn load(&self, name: &ClusterName) -> Result<Option<ClusterFile>, StoreError> {
        self.load_from(name.as_str(), &self.profile_dir(name))
    }

    fn load_from(&self, name: &str, folder: &Path) -> Result<Option<ClusterFile>, StoreError> {
        let path = folder.join(CLUSTER);
        let Some(bytes) = atomic::read(&path)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let file = ClusterFile::from_yaml(&text).map_err(|source| StoreError::Profile {
            name: name.to_owned(),
            path: path.clone(),
            source,
        })?;
        let found = file.metadata.name.as_str();
        if found != name {
            return Err(StoreError::ProfileName { name: name.to_owned(), path, found: found.to_owned() });
        }
        match file.to_spec() {
            Ok(_) => Ok(Some(file)),
            Err(problems) => Err(StoreError::ProfileValues { name: name.to_owned(), path, problems }),
        }
    }

    /// Writes a cluster's file.
    ///
    /// # Errors
    /// When it cannot be written; the old one is untouched then.
    pub fn save(&self, cluster: &ClusterFile) -> Result<(), StoreError> {
        let name = &cluster.metadata.name;
        let path = self.profile_dir(name).join(CLUSTER);
        let text = cluster.to_yaml().map_err(|source| StoreError::Profile {
            name: name.to_string(),
            path: path.clone(),
            source,
        })?;
        atomic::write(&path, text.as_bytes())
    }

    /// All profiles that have a file, ordered by name.
    ///
    /// # Errors
    /// When the folder of profiles cannot be listed.
    pub fn list(&self) -> Result<Vec<ProfileEntry>, StoreError> {
        let folder = self.profiles_dir();
        let failed = |source| StoreError::Folder { path: folder.clone(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if atomic::is_unfinished(&name) || !entry.path().is_dir() {
                continue;
            }
            let cluster = match self.load_from(&name, &entry.path()) {
                Ok(None) => continue,
                Ok(Some(_)) if name.parse::<ClusterName>().is_err() => Err(StoreError::Stranger { path: entry.path() }),
                Ok(Some(file)) => Ok(file),
                Err(error) => Err(error),
            };
            entries.push(ProfileEntry { name, cluster });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Removes a profile with all its files, at one stroke; nothing happens if it is absent.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(&self, name: &ClusterName) -> Result<(), StoreError> {
        let path = self.profile_dir(name);
        let failed = |source| StoreError::Remove { path: path.clone(), source };
        let trash = atomic::trash_name(&path);
        // Left by an earlier removal in this process that failed half-way.
        if trash.exists() {
            fs::remove_dir_all(&trash).map_err(failed)?;
        }
        match fs::rename(&path, &trash) {
            Ok(()) => fs::remove_dir_all(&trash).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a file into a profile, 0600 in folders 0700, and returns its path. `file` may name
    /// folders, e.g. `pki/ca.key`.
    ///
    /// # Errors
    /// When it cannot be written; the old one is untouched then.
    pub fn write_file(&self, name: &ClusterName, file: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let path = self.inside(name, file)?;
        atomic::write(&path, bytes)?;
        Ok(path)
    }

    /// Writes files into a profile as [`write_file`](Self::write_file) does, in the order given, but
    /// waits for the disk only once.
    ///
    /// # Errors
    /// When one cannot be written; it and those after it are as they were then.
    pub fn write_files<'a>(
        &self,
        name: &ClusterName,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), StoreError> {
        let files = files.into_iter().map(|(file, bytes)| Ok((self.inside(name, file)?, bytes)));
        atomic::write_all(files.collect::<Result<Vec<_>, StoreError>>()?)
    }

    /// Reads a file of a profile; `None` if it is absent.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(&self, name: &ClusterName, file: &str) -> Result<Option<Vec<u8>>, StoreError> {
        atomic::read(&self.inside(name, file)?)
    }

    /// Removes a file of a profile; nothing happens if it is absent.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_file(&self, name: &ClusterName, file: &str) -> Result<(), StoreError> {
        let path = self.inside(name, file)?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Remove { path, source }),
            _ => Ok(()),
        }
    }

    fn inside(&self, name: &ClusterName, file: &str) -> Result<PathBuf, StoreError> {
        let relative = Path::new(file);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if plain && relative.file_name().is_some() {
            Ok(self.profile_dir(name).join(relative))
        } else {
            Err(StoreError::Outside(file.to_owned()))
        }
    }

    /// Begins a new log of events for a cluster.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start_events(&self, name: &ClusterName) -> Result<(), StoreError> {
        let path = self.inside(name, EVENTS)?;
        atomic::make_folder(path.parent().unwrap_or(Path::new("/")))?;
        // Not worth the wait for the disk: what a crash of the host takes with it happened no more.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.map(drop).map_err(|source| StoreError::Write { path, source })
    }

    /// Adds an event, one line of JSON, to a cluster's log.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_event(&self, name: &ClusterName, line: &str) -> Result<(), StoreError> {
        append(self.inside(name, EVENTS)?, &format!("{}\n", line.trim_end()))
    }

    /// Adds text to a file among a cluster's logs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append_log(&self, name: &ClusterName, file: &str, text: &str) -> Result<(), StoreError> {
        append(self.inside(name, &format!("{LOGS}/{file}"))?, text)
    }

    /// Copies a log of a cluster out of its profile, which is about to go. Returns where it is then.
    ///
    /// # Errors
    /// When there is no such log, or it cannot be written.
    pub fn rescue_log(&self, name: &ClusterName, file: &str) -> Result<PathBuf, StoreError> {
        let from = self.inside(name, &format!("{LOGS}/{file}"))?;
        let path = self.logs_dir().join(format!("{name}-{file}"));
        match fs::copy(&from, &path) {
            Ok(_) => Ok(path),
            Err(source) => Err(StoreError::Write { path, source }),
        }
    }

    /// The events of a cluster's log, oldest first; none if there is no log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn events(&self, name: &ClusterName) -> Result<Vec<String>, StoreError> {
        let bytes = self.read_file(name, EVENTS)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        // A line without its end is one whose writer was killed.
        Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
    }
}

fn append(path: PathBuf, text: &str) -> Result<(), StoreError> {
    atomic::make_folder(path.parent().unwrap_or(Path::new("/")))?;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    // One call, so that what two processes write does not mix.
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| StoreError::Write { path, source })
}
