//! What is kept about snapshots: one file for each, written when all the rest of it is there.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use skiff_driver::{Snapshot, SnapshotName};

use crate::{Machine, VmError, files};

/// What is known about a snapshot of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    name: String,
    /// Seconds since 1970.
    taken: u64,
    /// True if it holds memory.
    pub memory: bool,
    /// Bytes that it takes.
    pub size: u64,
    /// The words that were kept with it.
    pub marks: BTreeMap<String, String>,
    /// What the machine was like, in the driver's words: a memory fits no other.
    pub machine: BTreeMap<String, String>,
}

impl SnapshotRecord {
    /// The record of a snapshot that is taken now.
    #[must_use]
    pub fn new(name: &SnapshotName, marks: &BTreeMap<String, String>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (name, taken) = (name.to_string(), now.as_secs());
        Self { name, taken, memory: false, size: 0, marks: marks.clone(), machine: BTreeMap::new() }
    }

    /// What is told about it.
    fn told(self) -> Option<Snapshot> {
        let Self { name, taken, memory, size, marks, .. } = self;
        let taken = SystemTime::UNIX_EPOCH + Duration::from_secs(taken);
        Some(Snapshot { name: name.parse().ok()?, taken, memory, size, marks })
    }
}

impl Machine {
    fn snapshot_file(&self, name: &SnapshotName) -> PathBuf {
        self.folder().join("snapshots").join(format!("{name}.json"))
    }

    /// The snapshots of the machine, ordered by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, VmError> {
        let folder = self.folder().join("snapshots");
        let mut snapshots = Vec::new();
        for name in files::names(&folder)? {
            let record: Option<SnapshotRecord> = files::read_json(&folder.join(name))?;
            snapshots.extend(record.and_then(SnapshotRecord::told));
        }
        snapshots.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(snapshots)
    }

    /// What is known about a snapshot.
    ///
    /// # Errors
    /// [`VmError::SnapshotAbsent`], or when its record cannot be read.
    pub fn snapshot(&self, name: &SnapshotName) -> Result<SnapshotRecord, VmError> {
        let absent = |node| VmError::SnapshotAbsent { node, name: name.clone() };
        let record = files::read_json(&self.snapshot_file(name))?;
        record.map_or_else(|| Err(self.record.name().map_or_else(|error| error, absent)), Ok)
    }

    /// Fails if there is a snapshot of that name.
    ///
    /// # Errors
    /// [`VmError::SnapshotExists`].
    pub fn require_no_snapshot(&self, name: &SnapshotName) -> Result<(), VmError> {
        if self.snapshot_file(name).exists() {
            return Err(VmError::SnapshotExists { node: self.record.name()?, name: name.clone() });
        }
        Ok(())
    }

    /// Keeps what is known about a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_snapshot(&self, name: &SnapshotName, record: &SnapshotRecord) -> Result<(), VmError> {
        files::write_json(&self.snapshot_file(name), record)
    }

    /// Forgets a snapshot; nothing happens if there is none.
    ///
    /// # Errors
    /// When its record cannot be removed.
    pub fn forget_snapshot(&self, name: &SnapshotName) -> Result<(), VmError> {
        files::remove(&self.snapshot_file(name))
    }
}
