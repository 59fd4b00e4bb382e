//! Leases: until when a cluster is meant to live, and for whom.
//!
//! A job that makes a cluster may be killed before it deletes it. A lease says when that has
//! happened, so that `gc` may delete the cluster instead. It is fixed when the cluster is made, and
//! kept in the profile as well as with the machines: whoever finds one of both knows as much.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use skiff_config::ClusterName;
use skiff_store::{Process, Store};

use crate::{ClusterError, clock, identity};

/// File of the profile.
const FILE: &str = "lease";
/// Marks of machines, and words of the file.
const EXPIRES: &str = "expires";
const OWNER: &str = "owner";

/// How long a cluster is meant to live; for good if it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    /// Until then, in whole seconds.
    pub expires: Option<SystemTime>,
    /// As long as this process.
    pub owner: Option<Process>,
}

/// Why a lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time is up.
    Expired(SystemTime),
    /// The process that it was for is gone.
    OwnerGone(u32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => write!(f, "its time was up at {}", clock::rfc3339(*at)),
            Self::OwnerGone(pid) => write!(f, "process {pid}, which it was made for, is gone"),
        }
    }
}

impl Lease {
    /// A lease from now on.
    pub(crate) fn begin(ttl: Option<Duration>, owner: Option<u32>, now: SystemTime) -> Result<Self, ClusterError> {
        let expires = ttl.and_then(|ttl| now.checked_add(ttl)).and_then(|at| clock::parse(&clock::rfc3339(at)));
        let owner = owner.map(|pid| Process::of(pid).ok_or(ClusterError::NoOwner(pid))).transpose()?;
        Ok(Self { expires, owner })
    }

    /// What machines are marked with.
    pub(crate) fn marks(&self) -> BTreeMap<String, String> {
        let expires = self.expires.map(|at| (EXPIRES.to_owned(), clock::rfc3339(at)));
        let owner = self.owner.as_ref().map(|owner| (OWNER.to_owned(), owner.to_string()));
        expires.into_iter().chain(owner).collect()
    }

    /// Reads marks. One that nobody can read ends nothing.
    pub(crate) fn from_marks(marks: &BTreeMap<String, String>) -> Self {
        Self {
            expires: marks.get(EXPIRES).and_then(|text| clock::parse(text)),
            owner: marks.get(OWNER).and_then(|text| text.parse().ok()),
        }
    }

    /// The lease of a stored cluster.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn load(store: &Store, name: &ClusterName) -> Result<Self, ClusterError> {
        let text = identity::read(store, name, FILE)?.unwrap_or_default();
        let words = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Self::from_marks(&words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    pub(crate) fn save(&self, store: &Store, name: &ClusterName) -> Result<(), ClusterError> {
        let marks = self.marks();
        if marks.is_empty() {
            return Ok(store.remove_file(name, FILE)?);
        }
        let text: String = marks.into_iter().map(|(key, value)| format!("{key} {value}\n")).collect();
        store.write_file(name, FILE, text.as_bytes())?;
        Ok(())
    }

    /// Why it is over, if it is. A process that cannot be seen from here is taken for alive.
    pub(crate) fn ended(&self, now: SystemTime) -> Option<Ended> {
        let expired = self.expires.filter(|at| *at <= now).map(Ended::Expired);
        let gone = |owner: &&Process| owner.is_alive() == Some(false);
        expired.or_else(|| self.owner.as_ref().filter(gone).map(|owner| Ended::OwnerGone(owner.pid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(count: u64) -> Duration {
        Duration::from_hours(count)
    }

    #[test]
    fn a_lease_ends_with_its_time() {
        let now = SystemTime::UNIX_EPOCH + hours(400_000);
        let lease = Lease::begin(Some(hours(1)), None, now).unwrap();
        assert_eq!(lease.ended(now), None);
        assert_eq!(lease.ended(now + hours(1)), Some(Ended::Expired(now + hours(1))));
        assert_eq!(Lease::default().ended(now + hours(1_000_000)), None);
    }

    #[test]
    fn a_lease_ends_with_its_owner() {
        let now = SystemTime::now();
        let lease = Lease::begin(None, Some(std::process::id()), now).unwrap();
        assert_eq!(lease.ended(now), None);
        assert!(matches!(Lease::begin(None, Some(u32::MAX), now), Err(ClusterError::NoOwner(_))));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let lease = Lease::begin(None, Some(child.id()), now).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(lease.ended(now), Some(Ended::OwnerGone(child.id())));
    }

    #[test]
    fn a_lease_is_the_same_in_the_profile_and_in_marks() {
        let folder = tempfile::tempdir().unwrap();
        let (store, name) = (Store::open(folder.path()).unwrap(), "dev".parse().unwrap());
        let lease = Lease::begin(Some(hours(1)), Some(std::process::id()), SystemTime::now()).unwrap();
        assert_eq!(Lease::from_marks(&lease.marks()), lease);
        lease.save(&store, &name).unwrap();
        assert_eq!(Lease::load(&store, &name).unwrap(), lease);
        Lease::default().save(&store, &name).unwrap();
        assert_eq!(Lease::load(&store, &name).unwrap(), Lease::default());
    }
}
