//! The skiff home itself, its settings and its locks.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use skiff_config::ClusterName;

use crate::{Lock, Owner, Settings, StoreError, atomic, neighbours};

/// The setting that names the active profile.
const ACTIVE: &str = "profile";

/// The skiff home.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    /// What all homes of this user on this host have in common.
    common: Option<PathBuf>,
}

impl Store {
    /// Opens the skiff home, makes its folders, and cleans up after processes that were killed while
    /// they wrote.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(home: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { home: home.into(), common: None };
        for folder in [store.config_dir(), store.profiles_dir(), store.cache_dir(), store.logs_dir(), store.locks_dir()]
        {
            atomic::make_folder(&folder)?;
        }
        for folder in [store.config_dir(), store.profiles_dir()] {
            atomic::clean(&folder);
        }
        Ok(store)
    }

    /// The same home, sharing the host with all that name this folder: ports are given to one of them
    /// only, and they queue together. A folder that is not this user's alone is not used.
    #[must_use]
    pub fn sharing(self, common: PathBuf) -> Self {
        let common = Some(common).filter(|folder| neighbours::join(folder, &self.home));
        Self { common, ..self }
    }

    /// The other homes that share the host, so far as they are still there.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Self> {
        let homes = self.common.as_deref().map(neighbours::homes).unwrap_or_default();
        let others = homes.into_iter().filter(|home| *home != self.home && home.join("profiles").is_dir());
        others.map(|home| Self { home, common: None }).collect()
    }

    /// Where locks are that all homes share.
    fn common_dir(&self) -> PathBuf {
        self.common.clone().unwrap_or_else(|| self.locks_dir())
    }

    /// The folder all this is in.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where artifacts are cached.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.home.join("cache")
    }

    /// Where logs go that belong to no cluster.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.home.join("logs")
    }

    pub(crate) fn profiles_dir(&self) -> PathBuf {
        self.home.join("profiles")
    }

    fn config_dir(&self) -> PathBuf {
        self.home.join("config")
    }

    pub(crate) fn locks_dir(&self) -> PathBuf {
        self.home.join("locks")
    }

    /// Takes the lock of a cluster, waiting as long as another skiff works on it. `command` is what
    /// others are told meanwhile; `on_wait` learns for whom this one waits. Dropping the future gives
    /// up.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub async fn lock(&self, name: &ClusterName, command: &str, on_wait: impl Fn(&Owner)) -> Result<Lock, StoreError> {
        Lock::take(self.profile_lock(name), command, on_wait).await
    }

    /// Takes the lock of a cluster if nobody has it.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub fn try_lock(&self, name: &ClusterName, command: &str) -> Result<Option<Lock>, StoreError> {
        let path = self.profile_lock(name);
        Ok(Lock::attempt(&path, command).map_err(|source| StoreError::Lock { path, source })?.ok())
    }

    /// Takes the lock under which names, ports and addresses are given to clusters: whoever has it
    /// looks at what is taken and writes down what it takes. What is written in a profile stays taken
    /// until that is removed, also when its skiff is killed.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub async fn allocate(&self, command: &str) -> Result<Lock, StoreError> {
        // Held for milliseconds: nobody needs to know for whom.
        Lock::take(self.common_dir().join("allocation"), command, |_| {}).await
    }

    /// Takes one of `places` places for something of which this host carries only so much at once,
    /// waiting until one is free. `on_wait` learns who has them. Dropping the lock, or the end of the
    /// process, frees the place.
    ///
    /// # Errors
    /// When a lock's file cannot be used.
    pub async fn place(&self, places: u32, command: &str, on_wait: impl Fn(&[Owner])) -> Result<Lock, StoreError> {
        let paths: Vec<PathBuf> = (0..places.max(1)).map(|at| self.common_dir().join(format!("place-{at}"))).collect();
        Lock::take_any(&paths, command, on_wait).await
    }

    /// True while a skiff works on a cluster.
    #[must_use]
    pub fn is_locked(&self, name: &ClusterName) -> bool {
        Lock::is_held(&self.profile_lock(name))
    }

    fn profile_lock(&self, name: &ClusterName) -> PathBuf {
        self.locks_dir().join(format!("profile-{name}"))
    }

    fn settings_path(&self) -> PathBuf {
        self.config_dir().join("config.yaml")
    }

    /// The defaults the user set.
    ///
    /// # Errors
    /// When the file is unreadable or damaged.
    pub fn settings(&self) -> Result<Settings, StoreError> {
        let path = self.settings_path();
        let Some(bytes) = atomic::read(&path)? else {
            return Ok(Settings::default());
        };
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        let settings = text.and_then(|text| Settings::from_yaml(&text));
        settings.map_err(|detail| StoreError::Settings { path, detail })
    }

    /// Sets one default.
    ///
    /// # Errors
    /// When the file is unreadable or damaged, or cannot be written.
    pub fn set_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.change_settings(|settings| settings.0.insert(key.to_owned(), value.to_owned())).map(drop)
    }

    /// Removes one default; false if it was not set.
    ///
    /// # Errors
    /// When the file is unreadable or damaged, or cannot be written.
    pub fn unset_setting(&self, key: &str) -> Result<bool, StoreError> {
        self.change_settings(|settings| settings.0.remove(key)).map(|old| old.is_some())
    }

    fn change_settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> Result<T, StoreError> {
        let lock_path = self.locks_dir().join("settings");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock_error = |source| StoreError::Lock { path: lock_path.clone(), source };
        let lock = lock.map_err(lock_error)?;
        // Held for milliseconds only, and released with the file.
        lock.lock().map_err(lock_error)?;
        let mut settings = self.settings()?;
        let result = change(&mut settings);
        let path = self.settings_path();
        let text = settings.to_yaml().map_err(|detail| StoreError::Settings { path: path.clone(), detail })?;
        atomic::write(&path, text.as_bytes())?;
        Ok(result)
    }

    /// The name of the active profile, if one was chosen.
    ///
    /// # Errors
    /// When the configuration file is unreadable or damaged.
    pub fn active_profile(&self) -> Result<Option<String>, StoreError> {
        Ok(self.settings()?.get(ACTIVE).map(str::to_owned))
    }

    /// Chooses the active profile; `None` goes back to the default.
    ///
    /// # Errors
    /// As for [`set_setting`](Self::set_setting).
    pub fn set_active_profile(&self, name: Option<&ClusterName>) -> Result<(), StoreError> {
        match name {
            Some(name) => self.set_setting(ACTIVE, name.as_str()),
            None => self.unset_setting(ACTIVE).map(drop),
        }
    }
}
