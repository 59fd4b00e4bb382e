//! Snapshots of the fake: the state of a node under a name.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use skiff_config::{ClusterName, NodeName};

use super::{FakeDriver, FakeError};
use crate::{MachineState, Snapshot, SnapshotKind, SnapshotName, Snapshots};

/// The snapshots of all nodes.
pub(super) type Kept = BTreeMap<(NodeName, SnapshotName), Snapshot>;

impl Snapshots for FakeDriver {
    async fn save_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), FakeError> {
        let mut state = self.enter("save_snapshot", &format!("{node} {name}"))?;
        let machine = state.machine(cluster, node)?;
        if !matches!(machine.state, MachineState::Paused | MachineState::Stopped) {
            return Err(FakeError::NotAtRest { node: node.clone() });
        }
        let memory = machine.state == MachineState::Paused && self.capabilities.snapshots == SnapshotKind::Memory;
        let key = (node.clone(), name.clone());
        if state.snapshots.contains_key(&key) {
            return Err(FakeError::SnapshotExists { name: name.clone() });
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let taken = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        state.snapshots.insert(key, Snapshot { name: name.clone(), taken, memory, size: 1, marks: marks.clone() });
        Ok(())
    }

    async fn restore_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> Result<(), FakeError> {
        let mut state = self.enter("restore_snapshot", &format!("{node} {name}"))?;
        state.machine(cluster, node)?;
        let snapshot = state.snapshots.get(&(node.clone(), name.clone()));
        let memory = snapshot.ok_or_else(|| FakeError::SnapshotAbsent { name: name.clone() })?.memory;
        state.machine(cluster, node)?.state = if memory { MachineState::Paused } else { MachineState::Stopped };
        Ok(())
    }

    async fn list_snapshots(&self, cluster: &ClusterName, node: &NodeName) -> Result<Vec<Snapshot>, FakeError> {
        let mut state = self.enter("list_snapshots", node.as_str())?;
        state.machine(cluster, node)?;
        Ok(state.snapshots.iter().filter(|((of, _), _)| of == node).map(|(_, snapshot)| snapshot.clone()).collect())
    }

    async fn delete_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> Result<(), FakeError> {
        let mut state = self.enter("delete_snapshot", &format!("{node} {name}"))?;
        if state.machine(cluster, node).is_ok() {
            state.snapshots.remove(&(node.clone(), name.clone()));
        }
        Ok(())
    }
}
