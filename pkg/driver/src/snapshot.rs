//! Snapshots: a node as it was, kept beside the node.

use std::{collections::BTreeMap, fmt, str::FromStr, time::SystemTime};

use skiff_config::{ClusterName, NodeName};

use crate::Driver;

/// The longest name of a snapshot.
const LONGEST: usize = 63;

/// What a driver keeps in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SnapshotKind {
    /// Nothing: the driver has no snapshots.
    None,
    /// What nodes stored: restored ones are off.
    Disk,
    /// Of frozen nodes their memory too: restored ones go on where they were.
    Memory,
}

impl SnapshotKind {
    /// The name for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// Name of a snapshot: letters, digits, `.`, `-` and `_`, and a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotName(String);

impl SnapshotName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SnapshotName {
    type Err = InvalidSnapshotName;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshotName> {
        let first = text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
        let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        // Tools that know snapshots by number too would take a number for one.
        let number = text.chars().all(|c| c.is_ascii_digit());
        if first && rest && !number && text.len() <= LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidSnapshotName(text.to_owned()))
    }
}

/// A word that cannot name a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSnapshotName(String);

impl fmt::Display for InvalidSnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` cannot name a snapshot: names have up to {LONGEST} letters, digits, dots, dashes and underscores, \
             begin with a letter or a digit, and are no numbers",
            self.0
        )
    }
}

impl std::error::Error for InvalidSnapshotName {}

/// A snapshot of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, to the second.
    pub taken: SystemTime,
    /// True if it holds the node's memory: the node goes on where it was.
    pub memory: bool,
    /// Bytes that it takes; 0 where that cannot be told.
    pub size: u64,
    /// The words that were kept with it.
    pub marks: BTreeMap<String, String>,
}

/// Drivers that keep snapshots.
///
/// A driver knows single nodes. Whoever wants a whole cluster freezes all of its nodes first, so that
/// their snapshots are of one moment.
pub trait Snapshots: Driver {
    /// Keeps a node that is frozen or off, which stays so: what it stored and, of a frozen one where
    /// [`SnapshotKind::Memory`] is offered, its memory. The marks are kept with it and told again by
    /// [`list_snapshots`](Self::list_snapshots): keys are lower-case words, values plain text. A
    /// snapshot that was cut off half-way counts as absent.
    ///
    /// # Errors
    /// When the node is absent, never started, or running, it has a snapshot of that name, or there is
    /// no room.
    fn save_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
        marks: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Brings a node back to what it was; all that it did since is lost, whatever it does now. After it
    /// the node is frozen if the snapshot holds memory, else off. May be called again after a failure.
    ///
    /// # Errors
    /// When the node or the snapshot is absent, or the node is not the machine it was then.
    fn restore_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The snapshots of a node, ordered by name.
    ///
    /// # Errors
    /// When the node is absent, or the provider fails.
    fn list_snapshots(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> impl Future<Output = Result<Vec<Snapshot>, Self::Error>> + Send;

    /// Removes a snapshot of a node in any state, which does not change by it. Nothing happens if there
    /// is none.
    ///
    /// # Errors
    /// When the provider fails.
    fn delete_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["a", "before-upgrade", "v1.20_2", "2026-11-22", "A1"] {
            assert_eq!(good.parse::<SnapshotName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "..", "a b", "a/b", "ä", "17", &"a".repeat(64)] {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad}");
        }
    }
}
