//! The use cases over fakes: what is called, what is kept, what is undone.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::time::Duration;

use skiff_cluster::{
    Before, ClusterError, ComponentState, KubeconfigState, Outcome, delete, preview, start, status, stop, undo_start,
    update_context,
};
use skiff_config::{ClusterFile, Phase, SpecFile};
use skiff_driver::{Driver as _, MachineState};
use skiff_report::{Diagnose as _, Event};

use world::{World, name, options, request};

/// The stored cluster, but for the time when its machine was made.
fn lasting(world: &World) -> ClusterFile {
    let mut file = world.host.store.load(&name()).unwrap().unwrap();
    file.status.nodes[0].made = None;
    file
}

#[tokio::test]
async fn a_first_start_ends_in_a_cluster_that_is_stored_and_configured() {
    let world = World::new();
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!((report.outcome, report.context.as_deref()), (Outcome::Created, Some("dev")));
    let file = world.host.store.load(&name()).unwrap().unwrap();
    assert_eq!(file.status.phase, Phase::Created);
    assert!(!file.status.nodes[0].applied.is_empty());
    assert!(world.kubeconfig().contains("current-context: dev"));
    assert!(world.kubeadm_ran(1));
}

#[tokio::test]
async fn starting_a_running_cluster_touches_nothing() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let calls = world.host.driver.calls().len();
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    let changing =
        |call: &&String| ["create", "start", "stop", "delete", "import"].iter().any(|verb| call.starts_with(verb));
    let since: Vec<String> = world.host.driver.calls().split_off(calls);
    assert!(since.iter().find(changing).is_none(), "{since:?}");
    assert!(world.kubeadm_ran(1));
}

#[tokio::test]
async fn a_stopped_cluster_starts_with_its_address_and_without_kubeadm() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let before = world.host.store.load(&name()).unwrap().unwrap().status;
    stop(&world.host, &name(), false).await.unwrap();
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Restarted);
    assert_eq!(world.host.store.load(&name()).unwrap().unwrap().status, before);
    assert!(world.kubeadm_ran(1));
}

#[tokio::test]
async fn a_node_removed_by_hand_comes_back_on_its_data_as_the_same_node() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let before = lasting(&world);
    world.host.driver.delete(&name(), &name().node(0), true).await.unwrap();
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Restarted);
    assert_eq!(lasting(&world), before);
    assert!(world.kubeadm_ran(2));
}

#[tokio::test]
async fn changed_settings_make_the_node_anew_and_keep_its_data() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut changed = request();
    changed.given.ports = Some(vec!["8080:80".into()]);
    let report = start(&world.host, &world.images, changed).await.unwrap();
    assert_eq!(report.outcome, Outcome::Updated);
    assert!(world.host.driver.calls().iter().any(|call| call.starts_with("delete dev")));
    let again = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged, "the change must have been stored");
}

#[tokio::test]
async fn limits_change_while_the_node_goes_on() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut changed = request();
    changed.given.memory = Some("5g".into());
    let report = start(&world.host, &world.images, changed).await.unwrap();
    assert_eq!(report.outcome, Outcome::Updated);
    let calls = world.host.driver.calls();
    assert!(calls.iter().any(|call| call == "resize dev"), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("delete") || call.starts_with("stop")), "{calls:?}");
    assert_eq!(world.host.driver.spec(&name().node(0)).unwrap().resources.memory, Some(5 << 30));
    let again = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged, "the change must have been stored");
}

#[tokio::test]
async fn a_failed_first_start_leaves_nothing() {
    for method in ["ensure_network", "create", "start", "endpoints"] {
        let world = World::new();
        world.host.driver.fail_next(method);
        let error = start(&world.host, &world.images, request()).await.unwrap_err();
        assert!(matches!(error, ClusterError::Driver(_)), "{method}: {error}");
        assert!(world.host.driver.list(None).await.unwrap().is_empty(), "{method}");
        assert!(world.host.store.load(&name()).unwrap().is_none(), "{method}");
    }
}

#[tokio::test]
async fn a_failed_first_start_is_kept_when_asked() {
    let world = World::new();
    world.host.driver.fail_next("endpoints");
    let mut kept = request();
    kept.options.keep = true;
    assert!(start(&world.host, &world.images, kept).await.is_err());
    assert_eq!(world.host.driver.list(None).await.unwrap().len(), 1);
    let report = start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Created);
}

#[tokio::test]
async fn a_failed_start_of_an_existing_cluster_deletes_nothing() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    world.host.driver.fail_next("start");
    assert!(start(&world.host, &world.images, request()).await.is_err());
    assert_eq!(world.host.driver.list(None).await.unwrap()[0].state, MachineState::Stopped);
    assert!(start(&world.host, &world.images, request()).await.is_ok());
}

#[tokio::test]
async fn a_start_that_was_killed_is_made_anew_by_the_next_one() {
    let world = World::new();
    world.host.driver.fail_next("endpoints");
    let mut killed = request();
    killed.options.keep = true;
    assert!(start(&world.host, &world.images, killed).await.is_err());
    assert!(undo_start(&world.host, &name()).await.unwrap());
    assert!(world.host.driver.list(None).await.unwrap().is_empty());
    assert!(!undo_start(&world.host, &name()).await.unwrap());
}

#[tokio::test]
async fn a_part_that_refuses_its_settings_ends_the_wait() {
    let world = World::new();
    *world.host.api.silent.lock().unwrap() = true;
    let log = "==> /var/log/pods/kube-system_x/kube-apiserver/1.log <==\nError: unknown flag: --no-such\n";
    world.host.connect.print(log);
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert_eq!(error.to_string(), "node dev cannot start Kubernetes: kube-apiserver does not know the flag --no-such");
    assert_eq!(error.reason().id, "K8S_INVALID_FLAG");
    assert!(error.reason().advice.contains("--extra-config=apiserver.no-such"), "{}", error.reason().advice);
    assert!(world.host.store.load(&name()).unwrap().is_none(), "a new cluster is undone");
}

#[tokio::test]
async fn undoing_a_start_never_touches_a_cluster_that_was_usable() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    assert!(!undo_start(&world.host, &name()).await.unwrap());
    assert_eq!(world.host.driver.list(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn delete_works_without_a_profile_and_twice() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world.host.store.remove(&name()).unwrap();
    assert!(delete(&world.host, &name()).await.unwrap().existed);
    assert!(world.host.driver.list(None).await.unwrap().is_empty());
    assert!(!world.kubeconfig().contains("dev"));
    assert!(!delete(&world.host, &name()).await.unwrap().existed);
}

#[tokio::test]
async fn machines_without_a_profile_are_never_wiped() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world.host.store.remove(&name()).unwrap();
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert!(matches!(error, ClusterError::Orphaned(_)), "{error}");
    assert_eq!(error.reason().exit.0, 81);
    assert_eq!(world.host.driver.list(None).await.unwrap()[0].state, MachineState::Running);
}

#[tokio::test]
async fn a_change_that_fails_is_not_kept() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let before = lasting(&world);
    let mut changed = request();
    changed.given.ports = Some(vec!["8080:80".into()]);
    world.host.driver.fail_next("start");
    assert!(start(&world.host, &world.images, changed).await.is_err());
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Updated);
    assert_eq!(lasting(&world), before);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_edited_is_told_before_anything_is_made() {
    let foreign = "apiVersion: v1\nkind: Config\nclusters:\n- name: dev\n  cluster: {server: https://other.test}\n";
    for text in ["- not: [a kubeconfig", foreign] {
        let world = World::new();
        world.write_kubeconfig(text);
        let error = start(&world.host, &world.images, request()).await.unwrap_err();
        assert!(matches!(error, ClusterError::Kubeconfig(_)), "{error}");
        let calls = world.host.driver.calls();
        assert!(!calls.iter().any(|call| call.starts_with("create") || call.starts_with("ensure")), "{calls:?}");
        assert!(world.host.store.load(&name()).unwrap().is_none());
        assert_eq!(world.kubeconfig(), text);
    }
}

#[tokio::test]
async fn delete_leaves_no_profile_where_the_kubeconfig_is_broken() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world.write_kubeconfig("- not: [a kubeconfig");
    assert!(matches!(delete(&world.host, &name()).await, Err(ClusterError::Kubeconfig(_))));
    assert!(world.host.driver.list(None).await.unwrap().is_empty());
    assert!(world.host.store.load(&name()).unwrap().is_none());
}

#[tokio::test]
async fn a_deleted_cluster_is_not_the_active_one() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let other = "other".parse().unwrap();
    for (active, left) in [(name(), None), (other, Some("other"))] {
        world.host.store.set_active_profile(Some(&active)).unwrap();
        delete(&world.host, &name()).await.unwrap();
        assert_eq!(world.host.store.active_profile().unwrap().as_deref(), left);
    }
}

#[tokio::test]
async fn what_a_failing_kubeadm_printed_is_kept_and_named() {
    for keep in [false, true] {
        let world = World::new();
        world.host.connect.fail("kubelet-start");
        world.host.connect.print("kubeadm says so");
        let mut request = request();
        request.options.keep = keep;
        let error = start(&world.host, &world.images, request).await.unwrap_err();
        assert!(matches!(error, ClusterError::Bootstrap(_)), "{error}");
        let (store, file) = (&world.host.store, "kubeadm.log");
        let rescued = store.logs_dir().join(format!("dev-{file}"));
        let path = if keep { store.profile_logs_dir(&name()).join(file) } else { rescued };
        assert!(std::fs::read_to_string(&path).unwrap().contains("kubeadm says so"), "keep: {keep}");
        let told = |event: &Event| matches!(event, Event::Warning(text) if text.contains(&path.display().to_string()));
        assert!(world.events().iter().any(told), "keep: {keep}");
    }
}

#[tokio::test]
async fn the_log_of_kubeadm_shows_no_token() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let token = String::from_utf8(world.host.store.read_file(&name(), "token").unwrap().unwrap()).unwrap();
    world.host.driver.delete(&name(), &name().node(0), true).await.unwrap();
    world.host.connect.print(&format!("Using token: {token}\n"));
    start(&world.host, &world.images, request()).await.unwrap();
    let log = std::fs::read_to_string(world.host.store.profile_logs_dir(&name()).join("kubeadm.log")).unwrap();
    assert!(log.contains("Using token: (token)") && !log.contains(&token), "{log}");
}

#[tokio::test]
async fn each_start_applies_the_clusters_own_parts_once() {
    let mut world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world.images.agent = "example.test/agent:2".to_owned();
    start(&world.host, &world.images, request()).await.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    start(&world.host, &world.images, request()).await.unwrap();
    let applied = world.applied();
    // The first start has a second part, for when the cluster is usable.
    assert_eq!(applied.len(), 4);
    let first = |text: &String| text.contains("example.test/agent:1") && !text.contains("agent:2");
    assert!(applied.iter().all(first), "the node image still has the first agent");
}

#[tokio::test]
async fn a_new_cluster_gets_addons_that_nobody_waits_for_when_it_is_usable() {
    let pods = |text: &String| [text.contains("skiff-storage"), text.contains("skiff-load-balancer")];
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(world.applied().iter().map(pods).collect::<Vec<_>>(), [[true, false], [false, true]]);

    let world = World::new();
    let mut all = request();
    all.options.wait.push(skiff_cluster::WaitFor::SystemPods);
    start(&world.host, &world.images, all).await.unwrap();
    assert_eq!(world.applied().iter().map(pods).collect::<Vec<_>>(), [[true, true]], "all are waited for");
}

#[tokio::test]
async fn a_node_whose_certificates_are_about_to_end_is_made_anew() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut file = world.host.store.load(&name()).unwrap().unwrap();
    file.status.nodes[0].made = Some("2020-01-01T00:00:00Z".to_owned());
    world.host.store.save(&file).unwrap();
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Updated);
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_not_taken_for_a_missing_one() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let key = world.host.store.profile_dir(&name()).join("pki/ca.key");
    std::fs::remove_file(&key).unwrap();
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert!(matches!(error, ClusterError::Bootstrap(_)), "{error}");
    std::fs::create_dir(&key).unwrap();
    let error = start(&world.host, &world.images, request()).await.unwrap_err();
    assert!(matches!(error, ClusterError::Store(_)), "{error}");
}

/// A start that waits for long.
fn patient() -> skiff_cluster::StartRequest {
    let options = skiff_cluster::StartOptions { wait_timeout: Duration::from_mins(10), ..options() };
    skiff_cluster::StartRequest { options, ..request() }
}

#[tokio::test]
async fn a_control_plane_that_gets_on_is_given_more_time_and_one_that_does_not_is_given_up() {
    let world = World::new();
    world.host.connect.print("f.log 12\n");
    *world.host.api.late.lock().unwrap() = 1;
    start(&world.host, &world.images, patient()).await.unwrap();

    // The second look at it shows what the first one did.
    let world = World::new();
    world.host.connect.print("f.log 12\n");
    *world.host.api.late.lock().unwrap() = 2;
    let error = start(&world.host, &world.images, patient()).await.unwrap_err();
    assert_eq!(error.reason().id, "K8S_APISERVER_TIMEOUT");

    // And nothing at all is no progress.
    let world = World::new();
    *world.host.api.late.lock().unwrap() = 1;
    let error = start(&world.host, &world.images, patient()).await.unwrap_err();
    assert_eq!(error.reason().id, "K8S_APISERVER_TIMEOUT");
}

#[tokio::test(start_paused = true)]
async fn what_a_running_node_puts_off_happens_at_once_if_a_start_waits() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    *world.host.api.silent.lock().unwrap() = true;
    world.host.connect.print("etcd");
    let hurried = async {
        // Also when it puts something off once more.
        while world.ran("restart kubelet") < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        never = start(&world.host, &world.images, request()) => panic!("{never:?}"),
        () = hurried => {}
    }
    let says = |event: &Event| format!("{event:?}").contains("was to be started again later");
    assert!(world.events().iter().any(says), "{:?}", world.events());
}

#[tokio::test]
async fn all_waits_of_a_start_share_one_deadline() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let patience = world.host.api.patience.lock().unwrap().clone();
    assert_eq!(patience.len(), 2);
    assert!(patience[1] < patience[0] && patience[0] < options().wait_timeout, "{patience:?}");
}

#[tokio::test]
async fn emulated_machines_are_waited_for_three_times_as_long() {
    let (world, asked) = (World::new(), Duration::from_hours(1));
    world.host.driver.emulate("no accelerator works on this host");
    let options = skiff_cluster::StartOptions { wait_timeout: asked, ..options() };
    start(&world.host, &world.images, skiff_cluster::StartRequest { options, ..request() }).await.unwrap();
    let first = world.host.api.patience.lock().unwrap()[0];
    assert!(first > 2 * asked && first <= 3 * asked, "{first:?}");
}

#[tokio::test]
async fn status_follows_the_machine() {
    let world = World::new();
    let missing = status(&world.host, &name()).await.unwrap_err();
    assert_eq!(missing.reason().exit.0, 85);
    start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(status(&world.host, &name()).await.unwrap().nodes[0].host, ComponentState::Running);
    stop(&world.host, &name(), false).await.unwrap();
    let node = status(&world.host, &name()).await.unwrap().nodes.remove(0);
    assert_eq!((node.host, node.apiserver), (ComponentState::Stopped, ComponentState::Stopped));
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_read_does_not_hide_the_state() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world.write_kubeconfig("- not: [a kubeconfig");
    let node = status(&world.host, &name()).await.unwrap().nodes.remove(0);
    assert_eq!((node.host, node.kubeconfig), (ComponentState::Running, KubeconfigState::Misconfigured));
}

#[tokio::test]
async fn a_name_that_is_another_clusters_node_is_refused() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut file = world.host.store.load(&name()).unwrap().unwrap();
    let mut second = file.status.nodes[0].clone();
    second.name = name().node(1);
    file.status.nodes.push(second);
    world.host.store.save(&file).unwrap();
    let mut clash = request();
    clash.name = "dev-m02".parse().unwrap();
    let error = start(&world.host, &world.images, clash).await.unwrap_err();
    assert!(matches!(error, ClusterError::NameTaken { .. }), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_change_are_warned_about() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut changed = request();
    changed.given = SpecFile { dns_domain: Some("example.test".into()), ..SpecFile::default() };
    let report = start(&world.host, &world.images, changed).await.unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    let warned = |event: &Event| matches!(event, Event::Warning(text) if text.contains("--dns-domain example.test"));
    assert!(world.events().iter().any(warned));
}

#[tokio::test]
async fn download_only_imports_the_image_and_makes_no_cluster() {
    let world = World::new();
    let mut request = request();
    request.options = skiff_cluster::StartOptions { download_only: true, ..options() };
    assert_eq!(start(&world.host, &world.images, request).await.unwrap().outcome, Outcome::Downloaded);
    assert!(world.host.driver.list(None).await.unwrap().is_empty());
    assert!(world.host.store.load(&name()).unwrap().is_none());
}

#[tokio::test]
async fn a_repaired_kubeconfig_entry_keeps_its_form() {
    for embed_certs in [false, true] {
        let world = World::new();
        let mut request = request();
        request.options.embed_certs = embed_certs;
        start(&world.host, &world.images, request).await.unwrap();
        let made = world.kubeconfig();
        assert_eq!(made.contains("client-certificate-data"), embed_certs);
        world.write_kubeconfig(&made.replace("server: https://127.0.0.1", "server: https://127.0.0.2"));
        assert!(update_context(&world.host, &name()).await.unwrap());
        assert_eq!(world.kubeconfig().contains("client-certificate-data"), embed_certs);
        assert!(!world.kubeconfig().contains("127.0.0.2"));
    }
}

#[tokio::test]
async fn undoing_gives_way_to_a_start_that_has_taken_over() {
    let world = World::new();
    let mut file = skiff_config::ClusterFile::new(name(), SpecFile::default());
    file.status.phase = Phase::Creating;
    world.host.store.save(&file).unwrap();
    let other = world.host.store.lock(&name(), "skiff start", |_| {}).await.unwrap();
    assert!(!undo_start(&world.host, &name()).await.unwrap());
    assert!(world.host.store.load(&name()).unwrap().is_some());
    drop(other);
    assert!(undo_start(&world.host, &name()).await.unwrap());
    assert!(world.host.store.load(&name()).unwrap().is_none());
}

#[tokio::test]
async fn a_preview_tells_what_a_start_would_change_and_changes_nothing() {
    let world = World::new();
    let of = |memory: Option<&str>, subnet: Option<&str>| {
        let mut request = request();
        request.given.memory = memory.map(str::to_owned);
        request.given.subnet = subnet.map(str::to_owned);
        preview(&world.host.store, &world.host.catalog, request)
    };
    assert_eq!(of(None, None).unwrap().before, Before::Nothing);
    start(&world.host, &world.images, request()).await.unwrap();
    let same = of(None, None).unwrap();
    assert_eq!((same.before, same.driver.as_str(), same.changes.len()), (Before::Cluster, "docker", 0));
    let changed = of(Some("4g"), Some("10.9.0.0/24")).unwrap();
    assert_eq!(changed.changes.keys().collect::<Vec<_>>(), ["memory"]);
    assert_eq!(changed.left_out[0].0, "subnet");
    assert!(matches!(of(Some("lots"), None), Err(ClusterError::Settings { problems }) if problems.len() == 1));
    assert!(of(None, None).unwrap().changes.is_empty());

    let with_addon = |addon: &str, memory: Option<&str>| {
        let mut request = request();
        request.given.memory = memory.map(str::to_owned);
        request.options.addons = vec![addon.to_owned()];
        preview(&world.host.store, &world.host.catalog, request)
    };
    assert_eq!(with_addon("metrics-server", None).unwrap().addons, ["metrics-server"]);
    let all = with_addon("nope", Some("lots"));
    assert!(matches!(&all, Err(ClusterError::Settings { problems }) if problems.len() == 2), "{all:?}");
}

#[tokio::test]
async fn certificates_that_shall_last_for_another_time_are_made_anew() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut shorter = request();
    shorter.given.cert_expiration = Some("900h".into());
    assert_eq!(start(&world.host, &world.images, shorter.clone()).await.unwrap().outcome, Outcome::Updated);
    assert_eq!(start(&world.host, &world.images, shorter).await.unwrap().outcome, Outcome::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn a_start_begins_again_when_a_machine_it_waits_for_ends_but_only_once() {
    for ends in [1, 2] {
        let world = World::new();
        start(&world.host, &world.images, request()).await.unwrap();
        *world.host.api.silent.lock().unwrap() = true;
        let somebody = async {
            for end in 1..=ends {
                while !runs(&world).await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                // Nothing is in the way of what comes after the last time.
                *world.host.api.silent.lock().unwrap() = end < ends;
                world.host.driver.stop(&name(), &name().node(0)).await.unwrap();
            }
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = start(&world.host, &world.images, request()) => ended,
            () = somebody => unreachable!(),
        };
        match (ends, ended) {
            (1, Ok(report)) => assert_eq!(report.outcome, Outcome::Restarted),
            (2, Err(ClusterError::NodeEnded { node, .. })) => assert_eq!(node, name().node(0)),
            (_, other) => panic!("after {ends}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_begins_again_when_nothing_reaches_a_machine_any_more() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    *world.host.api.silent.lock().unwrap() = true;
    let somebody = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        *world.host.api.silent.lock().unwrap() = false;
        world.host.driver.break_machine(&name().node(0));
        std::future::pending().await
    };
    world.host.driver.stop(&name(), &name().node(0)).await.unwrap();
    let report = tokio::select! {
        report = start(&world.host, &world.images, request()) => report.unwrap(),
        () = somebody => unreachable!(),
    };
    assert_eq!(report.outcome, Outcome::Updated);
    assert!(runs(&world).await);
}

async fn runs(world: &World) -> bool {
    world.host.driver.list(None).await.unwrap().iter().any(|node| node.state == MachineState::Running)
}
