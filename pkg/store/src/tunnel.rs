//! Who has the tunnel of a cluster: a lock, and nothing else that could be left behind.

use std::{fs, path::PathBuf};

use skiff_config::ClusterName;

use crate::{Lock, Owner, Store, StoreError};

/// What there is of a cluster's tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelTrace {
    /// Nothing.
    None,
    /// It runs; whose it is, where that can be told.
    Runs(Option<Owner>),
    /// One was killed and could not clean up.
    Left,
}

impl Store {
    /// Takes the tunnel's lock of a cluster, or tells who has it.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub fn lock_tunnel(&self, name: &ClusterName, command: &str) -> Result<Result<Lock, Option<Owner>>, StoreError> {
        let path = self.tunnel_path(name);
        Lock::attempt(&path, command).map_err(|source| StoreError::Lock { path, source })
    }

    /// What there is of a cluster's tunnel.
    #[must_use]
    pub fn tunnel(&self, name: &ClusterName) -> TunnelTrace {
        let path = self.tunnel_path(name);
        match (path.exists(), Lock::is_held(&path)) {
            (false, _) => TunnelTrace::None,
            (true, true) => TunnelTrace::Runs(Lock::owner(&path)),
            (true, false) => TunnelTrace::Left,
        }
    }

    /// Removes what a tunnel left that was killed.
    pub fn forget_tunnel(&self, name: &ClusterName) {
        if self.tunnel(name) == TunnelTrace::Left {
            // An unlocked file does no harm.
            let _ = fs::remove_file(self.tunnel_path(name));
        }
    }

    fn tunnel_path(&self, name: &ClusterName) -> PathBuf {
        self.locks_dir().join(format!("tunnel-{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_ends_leaves_nothing_and_a_killed_one_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name: ClusterName = "dev".parse().unwrap();
        assert_eq!(store.tunnel(&name), TunnelTrace::None);
        let lock = store.lock_tunnel(&name, "skiff tunnel").unwrap().unwrap();
        assert!(matches!(store.tunnel(&name), TunnelTrace::Runs(Some(owner)) if owner.pid == std::process::id()));
        let second = store.lock_tunnel(&name, "skiff tunnel").unwrap().unwrap_err();
        assert_eq!(second.map(|owner| owner.command).as_deref(), Some("skiff tunnel"));
        drop(lock);
        assert_eq!(store.tunnel(&name), TunnelTrace::None);
        fs::write(store.tunnel_path(&name), "").unwrap();
        assert_eq!(store.tunnel(&name), TunnelTrace::Left);
        store.forget_tunnel(&name);
        assert_eq!(store.tunnel(&name), TunnelTrace::None);
    }
}
