//! Clusters of many nodes over fakes: who is made, who joins, who leaves.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use skiff_cluster::{
    ClusterError, ComponentState, KubeconfigState, Leave, NewNode, Outcome, StartRequest, add_node, delete,
    delete_node, follow, outdated, start, start_node, status, stop, stop_node,
};
use skiff_config::{ClusterFile, ClusterName};
use skiff_driver::{Capabilities, Driver as _, DriverKind, FakeDriver, MachineState};
use skiff_report::{Diagnose as _, Event};

use world::{World, name, options, request};

const LEAVE: Leave = Leave { patience: Duration::from_secs(1), force: false };

const YEAR: Duration = Duration::from_hours(24 * 365);

fn nodes(count: u32) -> StartRequest {
    let mut request = request();
    request.given.nodes = Some(count.to_string());
    request
}

fn ha() -> StartRequest {
    let mut request = request();
    request.given.ha = Some("true".into());
    request
}

fn worker() -> NewNode {
    NewNode { control_plane: false, labels: [("disk".into(), "fast".into())].into(), taints: Vec::new() }
}

async fn running(request: StartRequest) -> World {
    let world = World::new();
    start(&world.host, &world.images, request).await.unwrap();
    world
}

/// Three control planes of a driver that has nothing which leads to all of them.
async fn running_without_entrance() -> World {
    let capabilities = FakeDriver::default().check().await.unwrap();
    let mut world = World::new();
    world.host.driver = FakeDriver::new(DriverKind::Qemu, Capabilities { shares_host_kernel: false, ..capabilities });
    start(&world.host, &world.images, ha()).await.unwrap();
    world
}

fn file(world: &World) -> ClusterFile {
    world.host.store.load(&name()).unwrap().unwrap()
}

fn names(world: &World) -> Vec<String> {
    file(world).status.nodes.iter().map(|node| node.name.to_string()).collect()
}

async fn machines(world: &World) -> Vec<(String, MachineState)> {
    let live = world.host.driver.list(None).await.unwrap();
    live.into_iter().map(|node| (node.name.to_string(), node.state)).collect()
}

#[tokio::test]
async fn all_nodes_are_made_and_each_has_what_no_other_has() {
    let world = running(nodes(3)).await;
    let file = file(&world);
    assert_eq!(names(&world), ["dev", "dev-m02", "dev-m03"]);
    let roles: Vec<&str> = file.status.nodes.iter().map(|node| node.role.as_str()).collect();
    assert_eq!(roles, ["control-plane", "worker", "worker"]);
    let addresses: BTreeSet<_> = file.status.nodes.iter().map(|node| node.address).collect();
    let ports = file.status.nodes.iter().flat_map(|node| [Some(node.ssh_port), node.apiserver_port]).flatten();
    assert_eq!((addresses.len(), ports.collect::<BTreeSet<_>>().len()), (3, 4));
    assert!(file.status.nodes.iter().all(|node| !node.applied.is_empty()));
    assert_eq!((world.ran("control-plane apiserver"), world.ran("kubelet-start")), (1, 3));
    assert!(world.applied().iter().any(|manifests| manifests.contains("skiff-routes")));
}

#[tokio::test]
async fn a_second_start_of_many_nodes_touches_none_of_them() {
    let world = running(nodes(3)).await;
    let before = file(&world);
    let ran = world.ran("kubeadm");
    let again = start(&world.host, &world.images, nodes(3)).await.unwrap();
    assert_eq!((again.outcome, file(&world), world.ran("kubeadm")), (Outcome::Unchanged, before, ran));
}

#[tokio::test]
async fn stopped_nodes_all_come_back_as_they_were() {
    let world = running(nodes(3)).await;
    let before = file(&world);
    assert_eq!(stop(&world.host, &name(), false).await.unwrap().stopped, ["dev-m02", "dev-m03", "dev"]);
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!((report.outcome, file(&world)), (Outcome::Restarted, before));
    assert!(machines(&world).await.iter().all(|(_, state)| *state == MachineState::Running));
}

#[tokio::test]
async fn a_worker_that_was_lost_is_made_again_and_the_others_stay() {
    let world = running(nodes(3)).await;
    world.host.driver.delete(&name(), &name().node(1), true).await.unwrap();
    let kubeadm = world.ran("kubelet-start");
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Restarted);
    assert_eq!(world.ran("kubelet-start"), kubeadm + 1);
    assert_eq!(machines(&world).await.len(), 3);
}

#[tokio::test]
async fn one_node_that_fails_undoes_a_first_start_as_a_whole() {
    let world = World::new();
    world.host.connect.fail("--config /etc/kubernetes/kubeadm.yaml");
    assert!(start(&world.host, &world.images, nodes(3)).await.is_err());
    assert!(machines(&world).await.is_empty());
    assert!(world.host.store.load(&name()).unwrap().is_none());
}

#[tokio::test]
async fn the_number_of_nodes_of_a_cluster_that_exists_is_not_changed_by_start() {
    let world = running(nodes(2)).await;
    let report = start(&world.host, &world.images, nodes(4)).await.unwrap();
    assert_eq!((report.outcome, names(&world).len()), (Outcome::Unchanged, 2));
    let warned = |event: &Event| matches!(event, Event::Warning(message) if message.contains("node add"));
    assert!(world.events().iter().any(warned), "{:?}", world.events());
}

#[tokio::test]
async fn control_planes_of_a_new_cluster_begin_etcd_together() {
    let world = running(ha()).await;
    assert_eq!(file(&world).status.nodes.iter().filter(|node| node.apiserver_port.is_some()).count(), 3);
    assert_eq!(world.ran("etcd local --config /run/skiff-etcd.yaml"), 3);
    assert_eq!((world.ran("control-plane apiserver"), world.ran("mark-control-plane")), (3, 3));
    assert_eq!((world.ran("upload-config"), world.ran("member add")), (1, 0));
    let status = status(&world.host, &name()).await.unwrap();
    assert!(status.nodes.iter().all(|node| node.kubeconfig == KubeconfigState::Configured), "{status:?}");
}

#[tokio::test]
async fn a_busy_api_server_does_not_make_a_workers_kubelet_stopped() {
    let world = running(nodes(2)).await;
    *world.host.api.deserted.lock().unwrap() = Some("dev-m02".to_owned());
    let told = status(&world.host, &name()).await.unwrap();
    assert_eq!(told.nodes[0].apiserver, ComponentState::Running);
    assert_eq!(told.nodes[1].kubelet, ComponentState::Running);
}

#[tokio::test]
async fn the_kubeconfig_follows_a_control_plane_that_works() {
    let world = running_without_entrance().await;
    let file = file(&world);
    let port = |index: usize| file.status.nodes[index].apiserver_port.unwrap().to_string();
    assert!(world.kubeconfig().contains(&port(0)));
    stop_node(&world.host, &name(), "dev").await.unwrap();
    assert!(!world.kubeconfig().contains(&port(0)), "{}", world.kubeconfig());
    assert!(world.kubeconfig().contains(&port(1)) || world.kubeconfig().contains(&port(2)));
    let status = status(&world.host, &name()).await.unwrap();
    assert_eq!(status.nodes[0].apiserver, ComponentState::Stopped);
    assert_eq!(status.nodes[1].kubeconfig, KubeconfigState::Configured);
    start_node(&world.host, &world.images, &name(), "dev", &options()).await.unwrap();
    assert!(world.kubeconfig().contains(&port(0)));
}

#[tokio::test]
async fn a_node_that_is_added_joins_and_counts() {
    let world = running(request()).await;
    assert!(!world.applied().iter().any(|manifests| manifests.contains("skiff-routes")));
    let added = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap();
    assert_eq!((added.node.as_str(), added.changed), ("dev-m02", true));
    assert_eq!(file(&world).spec.nodes.as_deref(), Some("2"));
    assert!(world.applied().last().unwrap().contains("skiff-routes"), "two nodes need routes");
    let report = start(&world.host, &world.images, nodes(2)).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn a_node_that_cannot_join_leaves_nothing_behind() {
    let world = running(request()).await;
    let before = file(&world);
    world.host.connect.fail("kubelet-start");
    assert!(add_node(&world.host, &world.images, &name(), &worker(), &options()).await.is_err());
    assert_eq!(machines(&world).await.len(), 1);
    assert_eq!(file(&world).status, before.status);
}

#[tokio::test]
async fn an_add_that_was_cut_off_is_picked_up() {
    let world = running(request()).await;
    let mut kept = options();
    kept.keep = true;
    world.host.driver.fail_next("endpoints");
    assert!(add_node(&world.host, &world.images, &name(), &worker(), &kept).await.is_err());
    assert_eq!(names(&world), ["dev", "dev-m02"]);
    let added = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap();
    assert_eq!((added.node.as_str(), names(&world).len()), ("dev-m02", 2));

    world.host.driver.fail_next("endpoints");
    assert!(add_node(&world.host, &world.images, &name(), &worker(), &kept).await.is_err());
    start(&world.host, &world.images, request()).await.unwrap();
    assert!(file(&world).status.nodes.iter().all(|node| !node.applied.is_empty()), "start picks it up too");
}

#[tokio::test]
async fn a_second_control_plane_is_taken_into_etcd_before_it_starts() {
    let world = running(request()).await;
    world.host.connect.fail("/var/lib/etcd/member");
    world.host.connect.print("a1, started, dev, https://10.77.0.2:2380, https://10.77.0.2:2379, false");
    let new = NewNode { control_plane: true, ..worker() };
    add_node(&world.host, &world.images, &name(), &new, &options()).await.unwrap();
    assert_eq!(world.ran("member add dev-m02 --peer-urls=https://10.77.0.3:2380"), 1);
    assert_eq!(world.ran("kubeadm.yaml.new"), 1, "the first one's managers learn to take turns");
    assert_eq!(file(&world).spec.ha, None, "two survive no loss");
}

#[tokio::test]
async fn a_node_that_is_deleted_is_emptied_first() {
    let world = running(nodes(3)).await;
    assert_eq!(delete_node(&world.host, &name(), "m02", LEAVE).await.unwrap().as_str(), "dev-m02");
    assert_eq!((world.ran("drain dev-m02"), world.ran("delete node dev-m02")), (1, 1));
    assert_eq!(names(&world), ["dev", "dev-m03"]);
    assert_eq!(machines(&world).await.len(), 2);
    assert_eq!(start(&world.host, &world.images, nodes(2)).await.unwrap().outcome, Outcome::Unchanged);
    let added = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap();
    assert_eq!(added.node.as_str(), "dev-m04", "names of nodes that others may remember are not given again");
}

#[tokio::test]
async fn a_node_that_cannot_be_emptied_stays_unless_forced() {
    let world = running(nodes(2)).await;
    world.host.connect.fail("drain");
    let error = delete_node(&world.host, &name(), "m02", LEAVE).await.unwrap_err();
    assert_eq!(error.reason().exit.0, 80, "{error}");
    assert_eq!((world.ran("uncordon dev-m02"), names(&world).len()), (1, 2));
    delete_node(&world.host, &name(), "m02", Leave { force: true, ..LEAVE }).await.unwrap();
    assert_eq!(names(&world), ["dev"]);
}

#[tokio::test]
async fn a_node_that_is_off_is_not_waited_for() {
    let world = running(nodes(2)).await;
    assert!(stop_node(&world.host, &name(), "m02").await.unwrap().changed);
    assert!(!stop_node(&world.host, &name(), "m02").await.unwrap().changed);
    delete_node(&world.host, &name(), "m02", LEAVE).await.unwrap();
    assert_eq!(world.ran("drain"), 0);
}

#[tokio::test]
async fn a_control_plane_that_leaves_is_no_member_of_etcd_any_more() {
    let world = running(ha()).await;
    let list =
        "a1, started, dev, https://10.77.0.2:2380, x, false\nb2, started, dev-m02, https://10.77.0.3:2380, x, false\n";
    world.host.connect.print(list);
    delete_node(&world.host, &name(), "m02", LEAVE).await.unwrap();
    assert_eq!(world.ran("member remove b2"), 1);
    assert_eq!(file(&world).spec.ha, None);
    assert!(file(&world).to_spec().is_ok(), "what is left can be read");
}

#[tokio::test]
async fn a_control_plane_that_etcd_cannot_spare_goes_on() {
    let world = running(ha()).await;
    world.host.connect.fail("member list");
    let error = delete_node(&world.host, &name(), "m02", LEAVE).await.unwrap_err();
    assert_eq!(error.reason().exit.0, 80, "{error}");
    assert_eq!((world.ran("uncordon dev-m02"), names(&world).len(), machines(&world).await.len()), (1, 3, 3));
}

#[tokio::test]
async fn the_first_control_plane_leaves_like_any_other() {
    let world = running(ha()).await;
    world.host.connect.print("a1, started, dev, https://10.77.0.2:2380, x, false\n");
    delete_node(&world.host, &name(), "dev", LEAVE).await.unwrap();
    assert_eq!((world.ran("member remove a1"), world.ran("delete node dev")), (1, 1));
    assert_eq!((names(&world), machines(&world).await.len()), (vec!["dev-m02".to_owned(), "dev-m03".to_owned()], 2));
    world.host.connect.print("");
    // The next one is the first from now on, and is not made anew for that.
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Unchanged);
    let status = status(&world.host, &name()).await.unwrap();
    assert!(status.nodes.iter().all(|node| node.kubeconfig == KubeconfigState::Configured), "{status:?}");
    stop(&world.host, &name(), false).await.unwrap();
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Restarted);
    // Should its machine be lost, it is made on its data as the first one would have been.
    world.host.driver.delete(&name(), &name().node(1), true).await.unwrap();
    start(&world.host, &world.images, request()).await.unwrap();
    let added = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap();
    assert_eq!(added.node.as_str(), "dev-m04", "the first one's name is not given again");
}

#[tokio::test]
async fn a_control_plane_takes_the_place_of_the_first_node_and_no_worker_does() {
    let world = running(nodes(2)).await;
    let new = NewNode { control_plane: true, ..worker() };
    add_node(&world.host, &world.images, &name(), &new, &options()).await.unwrap();
    delete_node(&world.host, &name(), "dev", LEAVE).await.unwrap();
    assert_eq!(names(&world), ["dev-m03", "dev-m02"]);
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn one_way_leads_to_all_control_planes_for_as_long_as_the_cluster_lives() {
    let world = running(request()).await;
    assert_eq!(world.host.driver.entrance(&name()), None, "one control plane needs none");
    let new = NewNode { control_plane: true, ..worker() };
    add_node(&world.host, &world.images, &name(), &new, &options()).await.unwrap();
    let entrance = world.host.driver.entrance(&name()).unwrap();
    assert_eq!(entrance.servers.len(), 2);
    let leads = |world: &World| world.kubeconfig().contains(&format!("https://127.0.0.1:{}\n", entrance.host_port));
    assert!(leads(&world), "{}", world.kubeconfig());
    assert!(file(&world).status.nodes.iter().all(|node| node.address != entrance.address));

    // Whichever is lost, kubeconfigs stay as they are.
    world.host.driver.stop(&name(), &name().node(0)).await.unwrap();
    assert_eq!(follow(&world.host, &name()).await.unwrap(), None);
    assert!(leads(&world));
    start(&world.host, &world.images, request()).await.unwrap();
    delete_node(&world.host, &name(), "dev", LEAVE).await.unwrap();
    let now = world.host.driver.entrance(&name()).unwrap();
    assert_eq!((now.host_port, now.servers.len()), (entrance.host_port, 1));
    assert!(leads(&world));

    stop(&world.host, &name(), false).await.unwrap();
    assert!(world.host.driver.calls().contains(&"stop dev-entrance".to_owned()));
    delete(&world.host, &name()).await.unwrap();
    assert_eq!(world.host.driver.entrance(&name()), None);
}

#[tokio::test]
async fn an_entrance_that_somebody_stopped_is_told_with_the_way_out() {
    let world = running(ha()).await;
    let entrance = world.host.driver.entrance(&name()).unwrap();
    *world.host.api.deserted.lock().unwrap() = Some(format!("https://127.0.0.1:{}", entrance.host_port));
    let told = status(&world.host, &name()).await.unwrap();
    for node in &told.nodes {
        assert_eq!((node.apiserver, node.kubeconfig), (ComponentState::Running, KubeconfigState::Misconfigured));
        let trouble = node.trouble.as_deref().unwrap_or_default();
        assert!(trouble.contains("dev-entrance") && trouble.contains("`skiff start -p dev`"), "{trouble}");
    }
    // Nobody misses it in a cluster that is off.
    stop(&world.host, &name(), false).await.unwrap();
    assert!(status(&world.host, &name()).await.unwrap().nodes.iter().all(|node| node.trouble.is_none()));
}

#[tokio::test]
async fn certificates_that_have_ended_are_told_and_renewed_by_a_start() {
    let world = running(nodes(2)).await;
    let client = || world.host.store.read_file(&name(), "client.crt").unwrap().unwrap();
    let (before, user) = (file(&world), client());
    // As long after as it would take, and as if the clock had been set back that far.
    for made in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        let mut moved = file(&world);
        moved.status.nodes.iter_mut().for_each(|node| node.made = Some(made.to_owned()));
        world.host.store.save(&moved).unwrap();
        let told = status(&world.host, &name()).await.unwrap();
        for node in &told.nodes {
            let trouble = node.trouble.as_deref().unwrap_or_default();
            assert!(trouble.contains(&node.name) && trouble.contains("`skiff start -p dev` renews them"), "{trouble}");
        }
        let started = world.ran("kubelet-start");
        assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Updated);
        assert_eq!(world.ran("kubelet-start"), started + 2, "both nodes have new ones");
        assert!(status(&world.host, &name()).await.unwrap().nodes.iter().all(|node| node.trouble.is_none()));
    }
    assert_eq!(file(&world).status.nodes[0].address, before.status.nodes[0].address);
    assert_eq!(client(), user, "the user's own is still good");
    let outdated = |now| outdated(&world.host.store, &name(), now).unwrap();
    assert_eq!(outdated(SystemTime::now()), None);
    for moved in [SystemTime::now() + 20 * YEAR, SystemTime::now() - YEAR] {
        assert!(outdated(moved).unwrap().contains("`skiff start -p dev` renews it"));
    }
}

#[tokio::test]
async fn the_only_control_plane_is_only_deleted_with_its_cluster() {
    let world = running(nodes(2)).await;
    let error = delete_node(&world.host, &name(), "dev", LEAVE).await.unwrap_err();
    assert!(matches!(error, ClusterError::OnlyControlPlane { .. }), "{error}");
    assert!(error.reason().advice.contains("node add --control-plane"), "{}", error.reason().advice);
    assert!(matches!(delete_node(&world.host, &name(), "m07", LEAVE).await, Err(ClusterError::NoSuchNode { .. })));
}

#[tokio::test]
async fn nodes_of_a_cluster_that_is_off_are_left_alone() {
    let world = running(nodes(2)).await;
    stop(&world.host, &name(), false).await.unwrap();
    let add = add_node(&world.host, &world.images, &name(), &worker(), &options()).await;
    assert!(matches!(add, Err(ClusterError::NotRunning(_))));
    assert!(matches!(delete_node(&world.host, &name(), "m02", LEAVE).await, Err(ClusterError::NotRunning(_))));
    assert_eq!(names(&world).len(), 2);
}

#[tokio::test]
async fn nodes_and_clusters_never_share_a_name() {
    let world = running(request()).await;
    let other: ClusterName = "dev-m02".parse().unwrap();
    start(&world.host, &world.images, StartRequest { name: other, ..request() }).await.unwrap();
    let error = add_node(&world.host, &world.images, &name(), &worker(), &options()).await.unwrap_err();
    assert!(matches!(error, ClusterError::NodeNameTaken { .. }), "{error}");
    assert_eq!(names(&world), ["dev"]);
}

#[tokio::test]
async fn kubectl_is_led_away_from_a_control_plane_that_was_lost() {
    let world = running_without_entrance().await;
    let made = world.kubeconfig();
    assert_eq!(follow(&world.host, &name()).await.unwrap(), None, "it works");
    world.host.driver.stop(&name(), &name().node(0)).await.unwrap();
    let led_to = follow(&world.host, &name()).await.unwrap().unwrap();
    let file = file(&world);
    let port = file.status.nodes.iter().find(|node| node.name == led_to).unwrap().apiserver_port.unwrap();
    assert!(world.kubeconfig().contains(&format!(":{port}\n")), "{}", world.kubeconfig());
    assert_ne!(led_to, name().node(0));
    // An entry that somebody else made is theirs.
    world.write_kubeconfig(&made.replace("127.0.0.1", "192.0.2.1"));
    assert_eq!(follow(&world.host, &name()).await.unwrap(), None);
}
