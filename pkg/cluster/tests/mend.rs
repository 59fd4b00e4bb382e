//! What a start mends on its way, over fakes: ports that somebody else has, machines that do not start any more.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use skiff_cluster::{Outcome, save_snapshot, start, start_node, stop, stop_node};
use skiff_config::{ClusterFile, NodeRecord};
use skiff_driver::Driver as _;
use skiff_report::Diagnose as _;

use world::{World, name, options, request, started};

fn file(world: &World) -> ClusterFile {
    world.host.store.load(&name()).unwrap().unwrap()
}

fn first(world: &World) -> NodeRecord {
    file(world).status.nodes.remove(0)
}

/// What the machine of the first node was made with.
fn published(world: &World) -> Vec<u16> {
    world.host.driver.spec(&name().node(0)).unwrap().published.iter().map(|port| port.host_port).collect()
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_given_up_for_another() {
    let world = started().await;
    let before = first(&world);
    stop(&world.host, &name(), false).await.unwrap();
    for port in [before.ssh_port, before.apiserver_port.unwrap()] {
        world.host.driver.hold_port(port);
    }
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Updated);
    let after = first(&world);
    assert!(after.ssh_port != before.ssh_port && after.apiserver_port != before.apiserver_port, "{after:?}");
    assert_eq!(after.address, before.address);
    assert_eq!(published(&world), [after.ssh_port, after.apiserver_port.unwrap()]);
    let calls = world.host.driver.calls();
    assert!(!calls.iter().any(|call| call == "delete_remains dev"), "its data stays: {calls:?}");
    let again = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!((again.outcome, first(&world).ssh_port), (Outcome::Unchanged, after.ssh_port));
}

#[tokio::test]
async fn a_port_that_was_asked_for_stays_asked_for() {
    let world = World::new();
    let asked = || {
        let mut request = request();
        request.given.ports = Some(vec!["8080:80".into()]);
        request
    };
    start(&world.host, &world.images, asked()).await.unwrap();
    let before = first(&world);
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.hold_port(8080);
    let error = start(&world.host, &world.images, asked()).await.unwrap_err();
    assert_eq!(error.reason().id, "GUEST_PORT_IN_USE");
    assert_eq!(first(&world).ssh_port, before.ssh_port);
}

#[tokio::test]
async fn a_machine_that_has_snapshots_keeps_its_ports() {
    let world = started().await;
    save_snapshot(&world.host, &name(), &"base".parse().unwrap()).await.unwrap();
    let before = first(&world);
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.hold_port(before.ssh_port);
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert_eq!(error.reason().id, "GUEST_PORT_IN_USE");
    assert_eq!(first(&world).ssh_port, before.ssh_port);
    assert_eq!(world.host.driver.list(None).await.unwrap()[0].snapshots, ["base"]);
}

#[tokio::test]
async fn the_way_to_several_control_planes_gets_another_port_too() {
    let world = World::new();
    let ha = || {
        let mut request = request();
        request.given.ha = Some("true".into());
        request
    };
    start(&world.host, &world.images, ha()).await.unwrap();
    let before = file(&world).status.entrance.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.hold_port(before.port);
    start(&world.host, &world.images, ha()).await.unwrap();
    let after = file(&world).status.entrance.unwrap();
    assert!(after.port != before.port && after.address == before.address, "{after:?}");
    assert_eq!(world.host.driver.entrance(&name()).unwrap().host_port, after.port);
}

#[tokio::test]
async fn one_node_gets_another_port_where_only_that_is_started() {
    let world = World::new();
    let mut two = request();
    two.given.nodes = Some("2".into());
    start(&world.host, &world.images, two).await.unwrap();
    let worker = file(&world).status.nodes.remove(1);
    stop_node(&world.host, &name(), worker.name.as_str()).await.unwrap();
    world.host.driver.hold_port(worker.ssh_port);
    start_node(&world.host, &world.images, &name(), worker.name.as_str(), &options()).await.unwrap();
    assert_ne!(file(&world).status.nodes[1].ssh_port, worker.ssh_port);
}

#[tokio::test]
async fn a_machine_that_does_not_start_any_more_is_made_anew_with_its_data() {
    let world = started().await;
    let before = first(&world);
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.wear_out(&before.name);
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Updated);
    let after = first(&world);
    assert_eq!((after.address, after.ssh_port), (before.address, before.ssh_port));
    let calls = world.host.driver.calls();
    assert!(!calls.iter().any(|call| call == "delete_remains dev"), "its data stays: {calls:?}");
    let again = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn a_machine_that_has_snapshots_is_not_made_anew() {
    let world = started().await;
    save_snapshot(&world.host, &name(), &"base".parse().unwrap()).await.unwrap();
    let node = first(&world).name;
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.wear_out(&node);
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert!(error.to_string().contains("does not start any more"), "{error}");
    assert_eq!(world.host.driver.list(None).await.unwrap()[0].snapshots, ["base"]);
}
