//! Pause and unpause over fakes.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::time::Duration;

use skiff_cluster::{
    ClusterError, ComponentState, Outcome, PauseScope, attend_cluster, delete, login, pause, start, status, stop,
    take_from_attendant, unpause, wake, was_paused,
};
use skiff_driver::{Driver as _, MachineState};
use skiff_report::Diagnose as _;
use skiff_store::Process;

use world::{World, name, request, started};

async fn machine(world: &World) -> MachineState {
    world.host.driver.list(None).await.unwrap()[0].state
}

fn system() -> PauseScope {
    PauseScope::Namespaces(vec!["kube-system".to_owned()])
}

#[tokio::test]
async fn a_paused_cluster_is_frozen_and_says_so() {
    let world = started().await;
    for frozen in [1, 0] {
        let report = pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
        assert_eq!((report.nodes.len(), report.containers), (frozen, None));
    }
    assert_eq!(machine(&world).await, MachineState::Paused);
    let node = status(&world.host, &name()).await.unwrap().nodes.remove(0);
    assert_eq!(
        (node.host, node.kubelet, node.apiserver),
        (ComponentState::Paused, ComponentState::Stopped, ComponentState::Paused)
    );
    assert!(matches!(login(&world.host, &name(), None).await, Err(ClusterError::Paused(_))));
    assert!(was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn what_nobody_used_goes_on_for_who_uses_it_and_what_was_paused_by_hand_does_not() {
    let world = started().await;
    assert!(!wake(&world.host, &name()).await.unwrap(), "it runs");
    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    assert!(!wake(&world.host, &name()).await.unwrap(), "somebody wants it so");
    assert_eq!(machine(&world).await, MachineState::Paused);
    // What the process leaves that freezes clusters by itself; it may be gone since.
    let mut gone = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let attendant = skiff_store::Process::of(gone.id()).unwrap();
    gone.kill().unwrap();
    gone.wait().unwrap();
    world.host.store.write_file(&name(), "auto-pause", format!("{attendant}\nfrozen\n").as_bytes()).unwrap();
    assert!(wake(&world.host, &name()).await.unwrap());
    assert_eq!(machine(&world).await, MachineState::Running);
    assert!(login(&world.host, &name(), None).await.is_ok());
}

/// A cluster that this process attends.
async fn attended() -> World {
    let world = World::new();
    let mut request = request();
    request.given.auto_pause_interval = Some("10s".into());
    start(&world.host, &world.images, request).await.unwrap();
    take_from_attendant(&world.host, &name()).await.unwrap().hand_to(&Process::me()).unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn nobody_freezes_a_cluster_that_somebody_works_on_or_that_was_taken_from_him() {
    let (world, name) = (attended().await, name());
    let told = |_: &str| {};
    let somebody = async {
        let lock = world.host.store.lock(&name, "a test", |_| {}).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(machine(&world).await, MachineState::Running);
        drop(lock);
        while machine(&world).await != MachineState::Paused {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(take_from_attendant(&world.host, &name).await.unwrap());
    };
    // Whoever is noted no more ends by himself.
    let (attended, ()) = tokio::join!(attend_cluster(&world.host, &name, &told), somebody);
    attended.unwrap();
    assert_eq!(machine(&world).await, MachineState::Running);
    assert!(!was_paused(&world.host.store, &name).unwrap());
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_a_cluster_half_frozen_because_nobody_used_it_has_it_go_on() {
    let (world, name) = (attended().await, name());
    world.host.driver.fail_next("pause");
    let somebody = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(wake(&world.host, &name).await.unwrap());
        drop(take_from_attendant(&world.host, &name).await.unwrap());
    };
    let told = |_: &str| {};
    let (attended, ()) = tokio::join!(attend_cluster(&world.host, &name, &told), somebody);
    attended.unwrap();
    assert!(!was_paused(&world.host.store, &name).unwrap());
}

#[tokio::test]
async fn unpause_thaws_and_may_be_repeated() {
    let world = started().await;
    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    for thawed in [1, 0] {
        let report = unpause(&world.host, &name(), PauseScope::Machines).await.unwrap();
        assert_eq!(report.nodes.len(), thawed);
        assert_eq!(machine(&world).await, MachineState::Running);
    }
    assert!(!was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn namespaces_freeze_inside_the_node_and_one_after_the_other_thaws() {
    let world = started().await;
    world.host.connect.print("3\n");
    let two = PauseScope::Namespaces(vec!["kube-system".to_owned(), "default".to_owned()]);
    assert_eq!(pause(&world.host, &name(), two).await.unwrap().containers, Some(3));
    assert_eq!(machine(&world).await, MachineState::Running);
    unpause(&world.host, &name(), system()).await.unwrap();
    assert!(was_paused(&world.host.store, &name()).unwrap(), "`default` is frozen still");
    unpause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    assert!(!was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn a_namespace_that_cannot_be_is_refused_before_anything_freezes() {
    let world = started().await;
    let bad = PauseScope::Namespaces(vec!["no such; thing".to_owned()]);
    let error = pause(&world.host, &name(), bad).await.unwrap_err();
    assert_eq!(error.reason().exit.0, 14);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn start_and_stop_work_on_a_paused_cluster() {
    let world = started().await;
    pause(&world.host, &name(), system()).await.unwrap();
    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Running);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
    assert!(world.kubeadm_ran(1), "a frozen cluster is not made anew");

    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    assert_eq!(machine(&world).await, MachineState::Stopped);
    let error = unpause(&world.host, &name(), PauseScope::Machines).await.unwrap_err();
    assert!(matches!(error, ClusterError::NotRunning(_)), "{error}");
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Restarted);
    assert!(!was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn a_pause_that_failed_half_way_can_be_taken_back() {
    let world = started().await;
    world.host.driver.fail_next("pause");
    assert!(pause(&world.host, &name(), PauseScope::Machines).await.is_err());
    unpause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    assert!(!was_paused(&world.host.store, &name()).unwrap());
}

#[tokio::test]
async fn only_what_runs_can_be_paused() {
    let world = World::new();
    for result in [
        pause(&world.host, &name(), PauseScope::Machines).await,
        unpause(&world.host, &name(), PauseScope::Machines).await,
    ] {
        assert!(matches!(result, Err(ClusterError::NotFound(_))));
    }
    start(&world.host, &world.images, request()).await.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    let error = pause(&world.host, &name(), PauseScope::Machines).await.unwrap_err();
    assert_eq!(error.reason().exit.0, 83);
    delete(&world.host, &name()).await.unwrap();
}
