//! Upgrades over fakes: in order, undone when a step fails, picked up when skiff was killed.

#[expect(dead_code, reason = "each test program uses a part of the world")]
mod world;

use std::time::Duration;

use skiff_cluster::{
    ClusterError, Outcome, StartRequest, add_node, delete_snapshot, save_snapshot, start, start_node, upgrade_under_way,
};
use skiff_config::{ClusterFile, UpgradeStage};
use skiff_driver::NodeImages as _;
use skiff_report::{Diagnose as _, Event, ExitCode, chain};

use world::{World, name, options, request};

const NEW: &str = "v1.21.14";

fn to(version: &str) -> StartRequest {
    let mut request = request();
    request.given.kubernetes_version = Some(version.to_owned());
    request
}

/// A cluster of some planes and workers at v1.20.2.
async fn cluster(nodes: &str, ha: bool) -> World {
    let world = World::new();
    let mut request = to("v1.20.2");
    request.given.nodes = Some(nodes.to_owned());
    request.given.ha = ha.then(|| "true".to_owned());
    start(&world.host, &world.images, request).await.unwrap();
    world
}

fn file(world: &World) -> ClusterFile {
    world.host.store.load(&name()).unwrap().unwrap()
}

fn under_way(world: &World) -> bool {
    upgrade_under_way(&world.host.store, &name()).unwrap().is_some()
}

/// All nodes are from the image of a version, and that is what is stored.
fn assert_at(world: &World, version: &str) {
    let file = file(world);
    assert_eq!(file.to_spec().unwrap().kubernetes_version.to_string(), version);
    for node in &file.status.nodes {
        assert_eq!(node.image, format!("image-{version}"), "{}", node.name);
        assert_eq!(world.host.driver.spec(&node.name).unwrap().image, node.image);
        assert!(!node.applied.is_empty(), "{}", node.name);
    }
    assert!(!under_way(world));
}

fn told(world: &World) -> String {
    let line = |event: Event| match event {
        Event::Step { message, .. } | Event::Info(message) | Event::Warning(message) => message,
        other => format!("{other:?}"),
    };
    world.events().into_iter().map(|event| line(event) + "\n").collect()
}

/// Which nodes were made since a point, in order.
fn made(world: &World, since: usize) -> Vec<String> {
    let calls = world.host.driver.calls();
    calls[since..].iter().filter_map(|call| call.strip_prefix("create ")).map(str::to_owned).collect()
}

/// Starts an upgrade and drops it where a command hangs, as if it were killed.
async fn killed_at(world: &World, word: &'static str, request: StartRequest) {
    world.host.connect.hang_once(word);
    let start = start(&world.host, &world.images, request);
    let hung = async {
        while world.host.connect.is_yet_to_hang() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        report = start => panic!("it went past `{word}`: {report:?}"),
        () = hung => {}
    }
}

#[tokio::test]
async fn nodes_go_one_by_one_control_planes_first() {
    let world = cluster("4", true).await;
    let since = world.host.driver.calls().len();
    let report = start(&world.host, &world.images, to(NEW)).await.unwrap();
    assert_eq!((report.outcome, report.version.to_string().as_str()), (Outcome::Updated, NEW));
    assert_eq!(made(&world, since), ["dev", "dev-m02", "dev-m03", "dev-m04"]);
    assert_at(&world, NEW);
    assert_eq!((world.ran("k cordon"), world.ran("k uncordon"), world.ran("kube-proxy:v1.21.14")), (4, 4, 4));
    let again = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged, "it stays what it is");
}

#[tokio::test]
async fn a_way_of_several_minors_is_gone_one_by_one() {
    let world = cluster("1", false).await;
    start(&world.host, &world.images, to("v1.23.17")).await.unwrap();
    assert_at(&world, "v1.23.17");
    let images: Vec<String> =
        world.host.driver.calls().into_iter().filter(|call| call.starts_with("import_image")).collect();
    assert_eq!(images.len(), 4, "{images:?}");
    assert_eq!(world.ran("k cordon"), 0, "pods of the only node have nowhere to go");
}

#[tokio::test]
async fn other_settings_come_with_the_first_hop_and_go_with_its_failure() {
    let world = cluster("1", false).await;
    let mut bigger = to(NEW);
    bigger.given.memory = Some("5g".into());
    world.host.connect.fail_once("mark-control-plane");
    start(&world.host, &world.images, bigger.clone()).await.unwrap_err();
    assert_eq!(file(&world).spec.memory, None);
    start(&world.host, &world.images, bigger).await.unwrap();
    assert_eq!(file(&world).spec.memory.as_deref(), Some("5g"));
    assert_at(&world, NEW);
}

#[tokio::test]
async fn snapshots_in_the_way_are_told_before_anything_is_changed() {
    let world = cluster("2", false).await;
    let kept = "kept".parse().unwrap();
    save_snapshot(&world.host, &name(), &kept).await.unwrap();
    let (since, images) = (world.host.driver.calls().len(), world.host.driver.list_images().await.unwrap());
    let error = start(&world.host, &world.images, to(NEW)).await.unwrap_err();
    assert_eq!(error.reason().id, "GUEST_SNAPSHOTS_IN_THE_WAY", "{error}");
    assert!(error.reason().advice.contains("snapshot delete kept"), "{}", error.reason().advice);
    assert!(made(&world, since).is_empty() && world.ran("k cordon") == 0);
    assert_eq!(world.host.driver.list_images().await.unwrap(), images, "not even an image was got");
    assert_at(&world, "v1.20.2");
    delete_snapshot(&world.host, &name(), &kept).await.unwrap();
    start(&world.host, &world.images, to(NEW)).await.unwrap();
    assert_at(&world, NEW);
}

#[tokio::test]
async fn no_snapshot_is_taken_in_the_middle_of_an_upgrade() {
    let world = cluster("2", false).await;
    killed_at(&world, "mark-control-plane", to(NEW)).await;
    let refused = save_snapshot(&world.host, &name(), &"half".parse().unwrap()).await.unwrap_err();
    assert_eq!(refused.reason().id, "K8S_UPGRADE_UNFINISHED", "{refused}");
}

#[tokio::test]
async fn a_step_that_fails_is_undone_whichever_it_is() {
    for word in [
        "k cordon",
        "kubernetes.tar.new",
        "etcd.new",
        "control-plane apiserver",
        "control-plane controller-manager",
        "mark-control-plane",
        "k uncordon",
        "rollout status",
        "kubeletVersion",
    ] {
        let world = cluster("2", false).await;
        let before = file(&world).spec;
        world.host.connect.fail_once(word);
        let error = start(&world.host, &world.images, to(NEW)).await.unwrap_err();
        assert!(matches!(error, ClusterError::Upgrade(_)), "{word}: {}", chain(&error));
        assert_eq!(error.reason().id, "K8S_UPGRADE_UNDONE");
        assert_at(&world, "v1.20.2");
        assert_eq!(file(&world).spec, before, "{word}");
        start(&world.host, &world.images, to(NEW)).await.unwrap();
        assert_at(&world, NEW);
    }
    for method in ["stop", "delete", "create", "start"] {
        let world = cluster("2", false).await;
        world.host.driver.fail_next(method);
        let error = start(&world.host, &world.images, to(NEW)).await.unwrap_err();
        assert!(matches!(error, ClusterError::Upgrade(_)), "{method}: {}", chain(&error));
        assert_at(&world, "v1.20.2");
    }
}

#[tokio::test]
async fn nothing_is_begun_without_the_new_image() {
    let world = cluster("1", false).await;
    let since = world.host.driver.calls().len();
    world.host.driver.fail_next("import_image");
    let error = start(&world.host, &world.images, to(NEW)).await.unwrap_err();
    assert!(matches!(error, ClusterError::Driver(_)), "{}", chain(&error));
    assert_eq!(made(&world, since), Vec::<String>::new());
    assert_at(&world, "v1.20.2");
}

#[tokio::test]
async fn a_kill_at_any_moment_is_picked_up_by_the_next_start() {
    // When all is done but for tidying up, there is nothing left to go on with.
    let tidying = "images remove";
    for word in ["k cordon", "etcd.new", "control-plane apiserver", "k uncordon", "rollout status", tidying] {
        let world = cluster("2", false).await;
        killed_at(&world, word, to(NEW)).await;
        if under_way(&world) {
            let half = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap_err();
            assert_eq!(half.reason().id, "K8S_UPGRADE_UNFINISHED", "{word}");
            let half = start_node(&world.host, &world.images, &name(), "dev-m02", &options()).await.unwrap_err();
            assert_eq!(half.reason().exit, ExitCode::CONTROL_PLANE_CONFLICT, "{word}");
        }
        start(&world.host, &world.images, request()).await.unwrap();
        assert_at(&world, NEW);
        assert_eq!(told(&world).contains("was cut off: going on with it"), word != tidying, "{word}");
    }
}

fn worker() -> skiff_cluster::NewNode {
    skiff_cluster::NewNode { control_plane: false, labels: Default::default(), taints: Vec::new() }
}

#[tokio::test]
async fn who_asks_for_the_old_version_in_the_middle_gets_it_back() {
    let world = cluster("2", false).await;
    killed_at(&world, "control-plane apiserver", to(NEW)).await;
    start(&world.host, &world.images, to("v1.20.2")).await.unwrap();
    assert_at(&world, "v1.20.2");
    assert!(told(&world).contains("was not finished: undoing it"));
}

#[tokio::test]
async fn a_killed_undo_is_picked_up_too() {
    let world = cluster("2", false).await;
    world.host.connect.fail_once("control-plane apiserver");
    killed_at(&world, "etcd.used\n", to(NEW)).await;
    let record = upgrade_under_way(&world.host.store, &name()).unwrap().unwrap();
    // No API server of the new version ever answered, so nothing was written since.
    assert_eq!(record.stage, UpgradeStage::Restoring);
    start(&world.host, &world.images, request()).await.unwrap();
    assert_at(&world, "v1.20.2");
    assert!(told(&world).contains("runs Kubernetes v1.20.2 as before"));
}

#[tokio::test]
async fn a_failed_undo_is_told_and_tried_again_by_the_next_start() {
    let world = cluster("1", false).await;
    world.host.connect.fail_once("control-plane apiserver");
    world.host.connect.fail_once("control-plane apiserver");
    let error = start(&world.host, &world.images, to(NEW)).await.unwrap_err();
    assert!(matches!(error, ClusterError::Undo { .. }), "{}", chain(&error));
    start(&world.host, &world.images, request()).await.unwrap();
    assert_at(&world, "v1.20.2");
}

#[tokio::test]
async fn a_cluster_never_becomes_older() {
    let world = cluster("1", false).await;
    let since = world.host.driver.calls().len();
    let error = start(&world.host, &world.images, to("v1.20.1")).await.unwrap_err();
    assert_eq!(
        (error.reason().id, error.reason().exit),
        ("K8S_DOWNGRADE_UNSUPPORTED", ExitCode::CONTROL_PLANE_UNSUPPORTED)
    );
    assert!(error.reason().advice.contains("skiff start -p NAME --kubernetes-version=v1.20.1"));
    assert_eq!(made(&world, since), Vec::<String>::new());
}

#[tokio::test]
async fn a_newer_agent_comes_to_its_pods_when_all_nodes_have_it() {
    let mut world = cluster("2", false).await;
    world.images.agent = "example.test/agent:2".to_owned();
    start(&world.host, &world.images, to(NEW)).await.unwrap();
    assert_eq!(world.ran("images tag --force example.test/agent:2 example.test/agent:1"), 2);
    assert!(file(&world).status.nodes.iter().all(|node| node.agent == "example.test/agent:2"));
    let applied = world.applied();
    let first_new = applied.iter().position(|manifests| manifests.contains("example.test/agent:2")).unwrap();
    assert_eq!(first_new, applied.len() - 1, "only at the end");
}
