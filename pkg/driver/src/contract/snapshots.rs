//! Behaviours of snapshots.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use skiff_report::{Diagnose, ExitCode, Silent};

use super::Trial;
use crate::{MachineState, NodeImages, SnapshotKind, SnapshotName, Snapshots};

/// A clock may be set while a test runs.
const SLACK: Duration = Duration::from_mins(10);

fn name(text: &str) -> SnapshotName {
    text.parse().expect("a name within the rules")
}

fn marks() -> BTreeMap<String, String> {
    BTreeMap::from([("nodes".to_owned(), "one two".to_owned())])
}

/// Who has snapshots says so.
pub async fn check_tells_that_there_are_snapshots<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let capabilities = trial.driver.check().await.expect("a driver that works");
    assert_ne!(capabilities.snapshots, SnapshotKind::None);
}

/// All that was said when it was taken is told of a snapshot; they are ordered by name.
pub async fn snapshot_is_listed_with_its_marks<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let node = trial.node(&cluster, true).await.name;
    trial.driver.stop(&cluster, &node).await.expect("stopped");
    assert_eq!(trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots"), []);
    for snapshot in ["b.2", "a-1"] {
        trial.driver.save_snapshot(&cluster, &node, &name(snapshot), &marks()).await.expect("saved");
    }
    let listed = trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots");
    let names: Vec<&str> = listed.iter().map(|snapshot| snapshot.name.as_str()).collect();
    assert_eq!(names, ["a-1", "b.2"]);
    assert!(listed.iter().all(|snapshot| snapshot.marks == marks()), "{listed:?}");
    let recent = |time: SystemTime| time > SystemTime::now() - SLACK && time < SystemTime::now() + SLACK;
    assert!(listed.iter().all(|snapshot| recent(snapshot.taken)), "{listed:?}");
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Stopped));
}

/// What was off when it was saved is off when it is back, whatever it did meanwhile; it starts.
pub async fn snapshot_of_a_stopped_node_is_off<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let node = trial.node(&cluster, true).await.name;
    trial.driver.stop(&cluster, &node).await.expect("stopped");
    trial.driver.save_snapshot(&cluster, &node, &name("off"), &marks()).await.expect("saved");
    trial.driver.start(&cluster, &node).await.expect("a running node");
    trial.driver.restore_snapshot(&cluster, &node, &name("off")).await.expect("restored");
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Stopped));
    trial.driver.start(&cluster, &node).await.expect("a running node");
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Running));
}

/// What was frozen when it was saved is frozen when it is back, if the driver keeps memory, and goes on
/// at its address: from running, from off, and twice.
pub async fn frozen_node_keeps_its_memory_where_the_driver_can<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let memory = trial.driver.check().await.expect("capabilities").snapshots == SnapshotKind::Memory;
    let cluster = trial.cluster();
    let node = trial.node(&cluster, true).await.name;
    let before = trial.driver.endpoints(&cluster, &node).await.expect("endpoints");
    trial.driver.pause(&cluster, &node).await.expect("frozen");
    trial.driver.save_snapshot(&cluster, &node, &name("live"), &marks()).await.expect("saved");
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Paused));
    let listed = trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots");
    assert_eq!(listed.iter().map(|snapshot| snapshot.memory).collect::<Vec<_>>(), [memory]);
    trial.driver.start(&cluster, &node).await.expect("a running node");
    for stopped in [false, true] {
        if stopped {
            trial.driver.stop(&cluster, &node).await.expect("stopped");
        }
        trial.driver.restore_snapshot(&cluster, &node, &name("live")).await.expect("restored");
        let state = if memory { MachineState::Paused } else { MachineState::Stopped };
        assert_eq!(trial.state(&cluster, &node).await, Some(state));
        trial.driver.start(&cluster, &node).await.expect("a running node");
        assert_eq!(trial.driver.endpoints(&cluster, &node).await.expect("endpoints"), before);
    }
}

/// A node that runs or never ran is refused, and stays as it is.
pub async fn running_node_is_not_saved<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let error = trial.driver.save_snapshot(&cluster, &cluster.node(0), &name("x"), &marks()).await;
    assert_eq!(error.expect_err("no node").reason().exit, ExitCode::GUEST_NOT_FOUND);
    let node = trial.node(&cluster, false).await.name;
    assert!(trial.driver.save_snapshot(&cluster, &node, &name("x"), &marks()).await.is_err());
    trial.driver.start(&cluster, &node).await.expect("a running node");
    assert!(trial.driver.save_snapshot(&cluster, &node, &name("x"), &marks()).await.is_err());
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Running));
    assert_eq!(trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots"), []);
}

/// A snapshot is never written over.
pub async fn name_of_a_snapshot_is_taken_once<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let node = trial.node(&cluster, true).await.name;
    trial.driver.stop(&cluster, &node).await.expect("stopped");
    trial.driver.save_snapshot(&cluster, &node, &name("x"), &marks()).await.expect("saved");
    let error = trial.driver.save_snapshot(&cluster, &node, &name("x"), &BTreeMap::new()).await;
    assert_eq!(error.expect_err("a conflict").reason().exit, ExitCode::GUEST_CONFLICT);
    let listed = trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots");
    assert_eq!(listed.iter().map(|snapshot| &snapshot.marks).collect::<Vec<_>>(), [&marks()]);
}

/// What was never saved cannot come back, and the node goes on.
pub async fn unknown_snapshot_is_not_restored<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let error = trial.driver.restore_snapshot(&cluster, &cluster.node(0), &name("x")).await;
    assert_eq!(error.expect_err("no node").reason().exit, ExitCode::GUEST_NOT_FOUND);
    let node = trial.node(&cluster, true).await.name;
    let error = trial.driver.restore_snapshot(&cluster, &node, &name("x")).await;
    assert_eq!(error.expect_err("no snapshot").reason().exit, ExitCode::GUEST_NOT_FOUND);
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Running));
}

/// Deleting removes a snapshot, also of a running node, then nothing; others stay.
pub async fn deleting_a_snapshot_may_be_repeated<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let node = trial.node(&cluster, true).await.name;
    trial.driver.pause(&cluster, &node).await.expect("frozen");
    for snapshot in ["gone", "stays"] {
        trial.driver.save_snapshot(&cluster, &node, &name(snapshot), &marks()).await.expect("saved");
    }
    trial.driver.start(&cluster, &node).await.expect("a running node");
    for _ in 0..2 {
        trial.driver.delete_snapshot(&cluster, &node, &name("gone")).await.expect("deleted");
        let listed = trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots");
        assert_eq!(listed.iter().map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>(), ["stays"]);
    }
    assert_eq!(trial.state(&cluster, &node).await, Some(MachineState::Running));
    trial.driver.stop(&cluster, &node).await.expect("stopped");
    trial.driver.delete_snapshot(&cluster, &node, &name("stays")).await.expect("deleted");
    assert_eq!(trial.driver.list_snapshots(&cluster, &node).await.expect("snapshots"), []);
}

/// A new node of an old name has none of its snapshots.
pub async fn snapshots_go_with_the_node<D: NodeImages + Snapshots>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.stop(&cluster, &spec.name).await.expect("stopped");
    trial.driver.save_snapshot(&cluster, &spec.name, &name("x"), &marks()).await.expect("saved");
    trial.driver.delete(&cluster, &spec.name, false).await.expect("deleted");
    assert!(trial.driver.list_snapshots(&cluster, &spec.name).await.is_err());
    trial.driver.create(&spec, &Silent).await.expect("a node");
    assert_eq!(trial.driver.list_snapshots(&cluster, &spec.name).await.expect("snapshots"), []);
}
