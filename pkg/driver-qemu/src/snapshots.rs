//! Snapshots: the disks of a machine as they were, and of a halted one its memory. Both lie in the
//! machine's own disks; the memory beside the root.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use serde_json::json;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{MachineState, Snapshot, SnapshotName, Snapshots};
use skiff_report::Silent;
use skiff_vm::{Machine, SnapshotRecord, VmError};

use crate::{
    Error, QemuDriver,
    arguments::{Disk, Start},
    life::monitors,
    qmp::Monitor,
    version,
};

/// What a machine is like, by names for people. A memory goes on in no other.
fn definition(start: &Start, version: &semver::Version) -> BTreeMap<String, String> {
    let written = start.disks.iter().filter(|disk| disk.format != "raw").count();
    let firmware = start.firmware.as_ref().map_or("QEMU's own".to_owned(), |path| path.display().to_string());
    [
        ("processors", start.processors.to_string()),
        ("memory", format!("{} MiB", start.memory >> 20)),
        ("accelerator", start.accelerator.argument().split(',').next().unwrap_or_default().to_uppercase()),
        ("disks", written.to_string()),
        ("firmware", firmware),
        // Machines of one minor version are alike.
        ("QEMU", format!("{}.{}", version.major, version.minor)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// What is not as it was, one phrase each. Disks alone only have to be as many.
fn differences(then: &SnapshotRecord, now: &BTreeMap<String, String>) -> Vec<String> {
    let counts = |name: &str| then.memory || name == "disks";
    let differs = |(name, was): (&String, &String)| {
        let is = now.get(name).map_or("unknown", String::as_str);
        (counts(name) && was != is).then(|| format!("{name} was {was} and is {is}"))
    };
    then.machine.iter().filter_map(differs).collect()
}

/// The names in the monitor of the disks that are kept.
fn written(start: &Start) -> Vec<&str> {
    start.disks.iter().filter(|disk| disk.format != "raw").map(|disk: &Disk| disk.name.as_str()).collect()
}

/// Bytes of memory that a process has touched: no snapshot of it is larger.
fn touched(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB");
    Some(kib.parse::<u64>().ok()? << 10)
}

/// QEMU's words about a disk without room are an error of their own.
fn no_room(error: Error, path: PathBuf) -> Error {
    match error {
        Error::Refused { ref detail, .. } if detail.contains("No space left") => {
            VmError::file("keep a snapshot in", path)(io::ErrorKind::StorageFull.into()).into()
        }
        other => other,
    }
}

impl QemuDriver {
    /// The snapshots that go when a machine is made anew: those of a broken one, which are lost anyway.
    /// Any other machine with snapshots is left as it is.
    pub(crate) async fn lost_snapshots(&self, machine: &Machine) -> Result<Vec<Snapshot>, Error> {
        let snapshots = machine.snapshots()?;
        if snapshots.is_empty() || self.state(machine).await? == MachineState::Broken {
            return Ok(snapshots);
        }
        let names = snapshots.iter().map(|snapshot| snapshot.name.to_string()).collect();
        Err(VmError::SnapshotsInTheWay { node: machine.record.name()?, names }.into())
    }

    /// What would be started now.
    async fn start_now(&self, machine: &Machine) -> Result<(Start, BTreeMap<String, String>), Error> {
        let key = machine.record.image.clone().unwrap_or_default();
        let image = self.machines.images.get(&key)?;
        let program = self.program()?;
        let version = version::of(&program).await?;
        let probe = self.probe(&program, version.to_string(), image.kernel(), image.initrd())?;
        let accelerator = probe.choose(&Silent).await;
        let start = self.start_of(machine, &image, accelerator)?;
        let definition = definition(&start, &version);
        Ok((start, definition))
    }

    /// Keeps a halted machine with its memory.
    async fn save_memory(&self, machine: &Machine, name: &SnapshotName, start: &Start) -> Result<(), Error> {
        let node = machine.record.name()?;
        let memory = self.process(machine).and_then(|process| touched(process.pid)).unwrap_or(start.memory);
        self.machines.require_space(memory.min(start.memory))?;
        let mut monitor = Monitor::connect(&monitors(machine)[0], &node).await?;
        let devices = written(start);
        // What a try that was cut off has left.
        monitor.job("snapshot-delete", json!({ "tag": name.as_str(), "devices": devices })).await?;
        let words = json!({ "tag": name.as_str(), "vmstate": devices[0], "devices": devices });
        let saved = monitor.job("snapshot-save", words).await;
        if saved.is_err() {
            // The first failure is told; a rest takes room, and goes with the next try.
            let _ = monitor.job("snapshot-delete", json!({ "tag": name.as_str(), "devices": devices })).await;
        }
        saved.map_err(|error| no_room(error, machine.folder().to_owned()))
    }

    /// Brings a machine back with its memory, halted.
    async fn restore_memory(&self, machine: &mut Machine, name: &SnapshotName, start: &Start) -> Result<(), Error> {
        let node = machine.record.name()?;
        let fresh = self.process(machine).is_none();
        if fresh {
            self.spawn(machine, true, &Silent).await?;
        }
        let loaded = async {
            let mut monitor = Monitor::connect(&monitors(machine)[0], &node).await?;
            monitor.ask("stop", json!({})).await?;
            let devices = written(start);
            let words = json!({ "tag": name.as_str(), "vmstate": devices[0], "devices": devices });
            monitor.job("snapshot-load", words).await
        };
        let loaded = loaded.await;
        if loaded.is_err() {
            // Its memory may be of two machines.
            self.end_machine(machine, false).await?;
        }
        loaded
    }
}

impl Snapshots for QemuDriver {
    async fn save_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let machine = self.machines.get(cluster, node)?;
        machine.require_no_snapshot(name)?;
        let state = self.state(&machine).await?;
        let (start, definition) = self.start_now(&machine).await?;
        let mut record = SnapshotRecord::new(name, marks);
        let before = machine.disk_usage();
        match state {
            MachineState::Paused if !machine.record.folders.is_empty() => {
                return Err(Error::FoldersInTheWay { node: node.clone() });
            }
            MachineState::Paused => self.save_memory(&machine, name, &start).await?,
            MachineState::Stopped => self.machines.save_disks(&machine, name).await?,
            state => return Err(VmError::SnapshotState { node: node.clone(), state }.into()),
        }
        record.memory = state == MachineState::Paused;
        record.size = machine.disk_usage().saturating_sub(before);
        record.machine = definition;
        Ok(machine.keep_snapshot(name, &record)?)
    }

    async fn restore_snapshot(&self, cluster: &ClusterName, node: &NodeName, name: &SnapshotName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let mut machine = self.machines.get(cluster, node)?;
        let record = machine.snapshot(name)?;
        let (start, now) = self.start_now(&machine).await?;
        let differences = differences(&record, &now);
        if !differences.is_empty() {
            return Err(VmError::SnapshotUnfit { node: node.clone(), name: name.clone(), differences }.into());
        }
        if record.memory {
            return self.restore_memory(&mut machine, name, &start).await;
        }
        self.end_machine(&machine, false).await?;
        Ok(self.machines.restore_disks(&machine, name).await?)
    }

    async fn list_snapshots(&self, cluster: &ClusterName, node: &NodeName) -> Result<Vec<Snapshot>, Error> {
        Ok(self.machines.get(cluster, node)?.snapshots()?)
    }

    async fn delete_snapshot(&self, cluster: &ClusterName, node: &NodeName, name: &SnapshotName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let Some(machine) = self.machines.find(cluster, node)? else { return Ok(()) };
        if machine.record.image.is_none() || machine.snapshot(name).is_err() {
            return Ok(());
        }
        if self.process(&machine).is_some() {
            let (start, _) = self.start_now(&machine).await?;
            let mut monitor = Monitor::connect(&monitors(&machine)[0], node).await?;
            let words = json!({ "tag": name.as_str(), "devices": written(&start) });
            monitor.job("snapshot-delete", words).await?;
        } else {
            self.machines.forget_disks(&machine, name).await?;
        }
        Ok(machine.forget_snapshot(name)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_fits_the_machine_it_was_in_and_disks_fit_any() {
        let words = |processors: &str, disks: &str| {
            BTreeMap::from([("processors".to_owned(), processors.to_owned()), ("disks".to_owned(), disks.to_owned())])
        };
        let mut record = SnapshotRecord::new(&"x".parse().unwrap(), &BTreeMap::new());
        (record.memory, record.machine) = (true, words("2", "2"));
        assert_eq!(differences(&record, &words("2", "2")), Vec::<String>::new());
        assert_eq!(differences(&record, &words("4", "2")), ["processors was 2 and is 4"]);
        record.memory = false;
        assert_eq!(differences(&record, &words("4", "2")), Vec::<String>::new());
        assert_eq!(differences(&record, &words("4", "3")), ["disks was 2 and is 3"]);
    }

    #[test]
    fn a_disk_without_room_is_told_as_such() {
        let refused = |detail: &str| Error::Refused { command: "snapshot-save".to_owned(), detail: detail.to_owned() };
        let error = no_room(refused("Error writing: No space left on device"), "/home".into());
        assert_eq!(skiff_report::Diagnose::reason(&error).id, "RSRC_VM_STORAGE");
        assert!(matches!(no_room(refused("other"), "/home".into()), Error::Refused { .. }));
    }
}
