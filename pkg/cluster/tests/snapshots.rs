//! Snapshots over fakes.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use skiff_cluster::{
    PauseScope, delete_snapshot, list_snapshots, pause, restore_snapshot, save_snapshot, start, stop, unpause,
    was_paused,
};
use skiff_driver::{Capabilities, Driver as _, DriverKind, FakeDriver, MachineState, SnapshotKind, SnapshotName};
use skiff_report::{Diagnose as _, ExitCode};

use world::{World, name, request, started};

async fn machine(world: &World) -> MachineState {
    world.host.driver.list(None).await.unwrap()[0].state
}

fn base() -> SnapshotName {
    "base".parse().unwrap()
}

#[tokio::test]
async fn a_running_cluster_is_frozen_while_it_is_saved_and_goes_on() {
    let world = started().await;
    let saved = save_snapshot(&world.host, &name(), &base()).await.unwrap();
    assert_eq!((saved.memory, saved.complete, saved.nodes), (true, true, vec!["dev".to_owned()]));
    let calls = world.host.driver.calls();
    let at = |call: &str| calls.iter().rposition(|one| one == call).unwrap();
    assert!(at("pause dev") < at("save_snapshot dev base") && at("save_snapshot dev base") < at("start dev"));
    assert_eq!(machine(&world).await, MachineState::Running);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
    assert_eq!(list_snapshots(&world.host, &name()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cluster_comes_back_as_it_was_saved() {
    let world = started().await;
    save_snapshot(&world.host, &name(), &base()).await.unwrap();
    stop(&world.host, &name(), true).await.unwrap();
    save_snapshot(&world.host, &name(), &"off".parse().unwrap()).await.unwrap();
    restore_snapshot(&world.host, &name(), &base()).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Running);
    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    save_snapshot(&world.host, &name(), &"frozen".parse().unwrap()).await.unwrap();
    restore_snapshot(&world.host, &name(), &"off".parse().unwrap()).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Stopped);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
    restore_snapshot(&world.host, &name(), &"frozen".parse().unwrap()).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Paused);
    assert!(was_paused(&world.host.store, &name()).unwrap());
    unpause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Running);
}

#[tokio::test]
async fn a_save_that_fails_leaves_no_part_and_lets_the_cluster_go_on() {
    let world = started().await;
    world.host.driver.fail_next("save_snapshot");
    save_snapshot(&world.host, &name(), &base()).await.unwrap_err();
    assert_eq!(machine(&world).await, MachineState::Running);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
    assert_eq!(list_snapshots(&world.host, &name()).await.unwrap(), []);
    save_snapshot(&world.host, &name(), &base()).await.unwrap();
}

#[tokio::test]
async fn names_are_taken_once_and_the_unknown_is_refused_with_what_there_is() {
    let world = started().await;
    let absent = restore_snapshot(&world.host, &name(), &base()).await.unwrap_err();
    assert_eq!((absent.reason().id, absent.reason().exit), ("GUEST_SNAPSHOT_NOT_FOUND", ExitCode::GUEST_NOT_FOUND));
    save_snapshot(&world.host, &name(), &base()).await.unwrap();
    let taken = save_snapshot(&world.host, &name(), &base()).await.unwrap_err();
    assert_eq!((taken.reason().id, taken.reason().exit), ("GUEST_SNAPSHOT_EXISTS", ExitCode::GUEST_CONFLICT));
    let other = delete_snapshot(&world.host, &name(), &"other".parse().unwrap()).await.unwrap_err();
    assert!(other.reason().advice.contains("base"), "{}", other.reason().advice);
    delete_snapshot(&world.host, &name(), &base()).await.unwrap();
    assert_eq!(list_snapshots(&world.host, &name()).await.unwrap(), []);
}

#[tokio::test]
async fn a_driver_without_snapshots_says_so_and_nothing_is_frozen() {
    let mut world = World::new();
    let can = Capabilities { snapshots: SnapshotKind::None, ..world.host.driver.check().await.unwrap() };
    world.host.driver = FakeDriver::new(DriverKind::Docker, can);
    start(&world.host, &world.images, request()).await.unwrap();
    let error = save_snapshot(&world.host, &name(), &base()).await.unwrap_err();
    assert_eq!((error.reason().id, error.reason().exit), ("DRV_NO_SNAPSHOTS", ExitCode::DRIVER_UNSUPPORTED));
    assert!(!world.host.driver.calls().iter().any(|call| call.starts_with("pause")));
}

#[tokio::test]
async fn snapshots_are_not_lost_by_other_settings_nor_by_another_skiff() {
    let mut world = World::new();
    // A virtual machine's memory cannot be changed while it runs.
    let can = Capabilities { live_resize: false, ..world.host.driver.check().await.unwrap() };
    world.host.driver = FakeDriver::new(DriverKind::Docker, can);
    start(&world.host, &world.images, request()).await.unwrap();
    save_snapshot(&world.host, &name(), &base()).await.unwrap();
    let before = world.host.driver.calls().len();
    let mut other = request();
    other.given.memory = Some("3g".to_owned());
    let refused = start(&world.host, &world.images, other.clone()).await.unwrap_err();
    assert_eq!((refused.reason().id, refused.reason().exit), ("GUEST_SNAPSHOTS_IN_THE_WAY", ExitCode::GUEST_CONFLICT));
    assert!(refused.reason().advice.contains("skiff snapshot delete base -p dev"), "{}", refused.reason().advice);
    let calls = world.host.driver.calls();
    assert!(!calls[before..].iter().any(|call| call.starts_with("stop") || call.starts_with("delete")), "{calls:?}");
    assert_eq!(machine(&world).await, MachineState::Running);

    // Another skiff would make it otherwise: nobody has asked for that.
    let mut file = world.host.store.load(&name()).unwrap().unwrap();
    file.status.nodes[0].applied = "by another skiff".to_owned();
    world.host.store.save(&file).unwrap();
    stop(&world.host, &name(), true).await.unwrap();
    start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(list_snapshots(&world.host, &name()).await.unwrap().len(), 1);
    let file = world.host.store.load(&name()).unwrap().unwrap();
    assert_eq!(file.status.nodes[0].applied, "by another skiff");

    delete_snapshot(&world.host, &name(), &base()).await.unwrap();
    start(&world.host, &world.images, other).await.unwrap();
    let file = world.host.store.load(&name()).unwrap().unwrap();
    assert_ne!(file.status.nodes[0].applied, "by another skiff");
}
