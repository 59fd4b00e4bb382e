//! Addons of clusters over fakes: what is wanted is stored, and in the cluster if it runs.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::time::Duration;

use skiff_addons::AddonError;
use skiff_cluster::{
    AddonReport, AddonRequest, AddonSetting, AddonSettings, ClusterError, PauseScope, StartOptions, StartRequest,
    addon_states, configure_addon, disable_addons, enable_addons, list_addons, pause, start, stop, stop_node,
};
use skiff_config::{AddonWish, Phase};
use skiff_driver::Driver as _;
use skiff_report::Diagnose as _;

use world::{World, name, options, request, started};

fn setting(text: &str) -> AddonSetting {
    let (key, value) = text.split_once('=').unwrap();
    let (addon, name) = key.split_once('.').map_or((None, key), |(addon, name)| (Some(addon.to_owned()), name));
    AddonSetting { addon, name: name.to_owned(), value: value.to_owned() }
}

fn settings(values: &[&str]) -> AddonSettings {
    AddonSettings { values: values.iter().map(|text| setting(text)).collect(), ..AddonSettings::default() }
}

fn asked(names: &[&str], values: &[&str]) -> AddonRequest {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    AddonRequest { names, settings: settings(values), patience: Duration::from_secs(5), ..AddonRequest::default() }
}

async fn enable(world: &World, names: &[&str], values: &[&str]) -> Result<AddonReport, ClusterError> {
    enable_addons(&world.host, &name(), &asked(names, values)).await
}

async fn disable(world: &World, names: &[&str]) -> Result<AddonReport, ClusterError> {
    disable_addons(&world.host, &name(), &asked(names, &[])).await
}

/// Names of the objects in the cluster, in order.
fn objects(world: &World) -> Vec<String> {
    let mut names: Vec<String> =
        world.host.api.objects.lock().unwrap().iter().map(|object| object.object().to_string()).collect();
    names.sort();
    names
}

fn has(world: &World, object: &str) -> bool {
    objects(world).iter().any(|name| name == object)
}

fn wish(world: &World, addon: &str) -> AddonWish {
    world.host.store.load(&name()).unwrap().unwrap().addons.get(addon).cloned().unwrap_or_default()
}

fn addon_error<T: std::fmt::Debug>(result: Result<T, ClusterError>) -> AddonError {
    match result.unwrap_err() {
        ClusterError::Addon(error) => *error,
        other => panic!("{other:?}"),
    }
}

fn breaks(world: &World, word: &str) {
    *world.host.api.broken.lock().unwrap() = Some(word.to_owned());
}

fn works(world: &World) {
    *world.host.api.broken.lock().unwrap() = None;
}

#[tokio::test]
async fn an_addon_comes_with_what_it_requires_and_goes_alone() {
    let world = started().await;
    let before = objects(&world);
    disable_addons(&world.host, &name(), &asked(&["storage-provisioner", "default-storageclass"], &[])).await.unwrap();
    let changed = enable(&world, &["registry"], &["size=5Gi"]).await.unwrap().changed;
    assert_eq!(changed.len(), 3);
    assert_eq!(changed[2], "registry");
    assert!(has(&world, "StorageClass standard") && has(&world, "Service kube-system/registry"));
    assert_eq!(
        (wish(&world, "registry").enabled, wish(&world, "registry").values["size"].as_str()),
        (Some(true), "5Gi")
    );
    assert_eq!(wish(&world, "default-storageclass").values.len(), 0, "what is set is for the addon that was named");

    match disable(&world, &["storage-provisioner"]).await.unwrap_err() {
        ClusterError::AddonNeeded { by, .. } => assert_eq!(by, ["registry"]),
        other => panic!("{other}"),
    }
    assert_eq!(
        disable(&world, &["registry"]).await.unwrap(),
        AddonReport { changed: vec!["registry".into()], stored: false }
    );
    assert!(has(&world, "StorageClass standard") && !objects(&world).iter().any(|name| name.contains("registry")));
    // A second time is no error.
    disable(&world, &["registry"]).await.unwrap();
    assert!(before.iter().all(|object| object.contains("skiff-addon-") || has(&world, object)));
}

#[tokio::test]
async fn what_does_not_work_leaves_cluster_and_wishes_as_they_were() {
    let world = started().await;
    disable(&world, &["storage-provisioner", "default-storageclass"]).await.unwrap();
    let (before, file) = (objects(&world), world.host.store.load(&name()).unwrap());
    breaks(&world, "skiff-registry");
    let error = addon_error(enable(&world, &["registry"], &[]).await);
    assert!(matches!(&error, AddonError::NotWorking { addon, undone: true, .. } if addon == "registry"), "{error}");
    assert_eq!((objects(&world), world.host.store.load(&name()).unwrap()), (before, file));
    works(&world);
    enable(&world, &["registry"], &[]).await.unwrap();
    let states = addon_states(&world.host, &name(), &["registry".to_owned()]).await.unwrap();
    assert_eq!(states[0].state, "Running");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let world = started().await;
    let before = objects(&world);
    let wrong = enable(&world, &["registri", "registry"], &["port=0", "registry.sise=1", "ingress.http-port=1"]).await;
    match addon_error(wrong) {
        AddonError::Several { errors } => {
            assert!(matches!(&errors[0], AddonError::Unknown { near, .. } if near == &["registry"]), "{errors:?}");
            assert!(matches!(&errors[1], AddonError::Off { addon } if addon == "ingress"), "{errors:?}");
            assert!(matches!(&errors[2], AddonError::Settings { problems, .. } if problems.len() == 2), "{errors:?}");
        }
        other => panic!("{other}"),
    }
    assert!(
        matches!(addon_error(disable(&world, &["x", "y"]).await), AddonError::Several { errors } if errors.len() == 2)
    );
    assert_eq!(objects(&world), before);
}

#[tokio::test]
async fn an_addon_that_is_off_only_remembers_its_settings() {
    let world = started().await;
    let before = objects(&world);
    let configured = configure_addon(&world.host, &name(), &asked(&["registry"], &["port=5001"])).await.unwrap();
    assert!(configured.stored);
    assert_eq!((objects(&world), wish(&world, "registry").enabled), (before, None));
    enable(&world, &["registry"], &[]).await.unwrap();
    assert_eq!(wish(&world, "registry").values["port"], "5001");
    let listed = list_addons(&world.host.store, &world.host.catalog, &name()).unwrap();
    let registry = listed.iter().find(|listing| listing.addon.name == "registry").unwrap();
    let used: Vec<&str> = registry.images.iter().map(|image| image.used.as_str()).collect();
    assert_eq!(used, [world.images.agent.as_str(), "skiff.local/docker-registry:bookworm"]);
    assert!(registry.images.iter().all(|image| image.preloaded));
}

#[tokio::test]
async fn settings_that_an_addon_does_not_work_with_are_not_kept() {
    let world = started().await;
    enable(&world, &["registry"], &["port=5001"]).await.unwrap();
    let configure = async |value: &str| configure_addon(&world.host, &name(), &asked(&["registry"], &[value])).await;
    assert!(matches!(addon_error(configure("port=http").await), AddonError::Settings { .. }));
    breaks(&world, "skiff-registry");
    assert!(matches!(addon_error(configure("port=5002").await), AddonError::NotWorking { undone: true, .. }));
    works(&world);
    assert_eq!(wish(&world, "registry").values["port"], "5001");
    let configured = configure("port=5003").await.unwrap();
    assert!(!configured.stored);
    let api = world.host.api.objects.lock().unwrap();
    assert!(api.iter().any(|object| object.body().to_string().contains("0.0.0.0:5003")));
}

#[tokio::test]
async fn a_cluster_that_is_off_gets_the_wish_and_a_frozen_one_does_not() {
    let world = started().await;
    stop(&world.host, &name(), false).await.unwrap();
    let before = objects(&world);
    assert!(enable(&world, &["registry"], &[]).await.unwrap().stored);
    assert!(disable(&world, &["load-balancer"]).await.unwrap().stored);
    assert_eq!(objects(&world), before);
    start(&world.host, &world.images, request()).await.unwrap();
    assert!(has(&world, "Service kube-system/registry") && !has(&world, "DaemonSet kube-system/skiff-load-balancer"));

    pause(&world.host, &name(), PauseScope::Machines).await.unwrap();
    let error = enable(&world, &["metrics-server"], &[]).await.unwrap_err();
    assert!(matches!(error, ClusterError::AddonPaused(_)), "{error}");
    assert_eq!(error.reason().exit.0, 11);
}

#[tokio::test]
async fn a_start_takes_addons_and_what_to_set_of_them() {
    let world = World::new();
    let start_with = async |names: &[&str], values: &[&str]| {
        let addons = names.iter().map(|name| (*name).to_owned()).collect();
        let options = StartOptions { addons, addon_settings: settings(values), ..options() };
        start(&world.host, &world.images, StartRequest { options, ..request() }).await
    };
    match start_with(&["registri"], &["registry.port=1", "x=1"]).await.unwrap_err() {
        ClusterError::Settings { problems } => assert_eq!(problems.len(), 2, "{problems:?}"),
        other => panic!("{other}"),
    }
    assert!(world.host.store.load(&name()).unwrap().is_none_or(|file| file.status.nodes.is_empty()));
    // One that is on by itself may be set without being named.
    start_with(&["registry"], &["port=5001", "default-storageclass.reclaim-policy=Retain"]).await.unwrap();
    assert_eq!(wish(&world, "registry").values["port"], "5001");
    assert_eq!(wish(&world, "default-storageclass").values["reclaim-policy"], "Retain");
    match start_with(&[], &["port=5001"]).await.unwrap_err() {
        ClusterError::Settings { problems } => assert!(problems[0].message.contains("ADDON.KEY=VALUE"), "{problems:?}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_addon_that_a_new_cluster_does_not_take_leaves_the_cluster() {
    let world = World::new();
    let refuses = |word: Option<&str>| *world.host.api.refused.lock().unwrap() = word.map(str::to_owned);
    refuses(Some("registry"));
    let options = StartOptions { addons: vec!["registry".to_owned(), "metrics-server".to_owned()], ..options() };
    let with_addons = || StartRequest { options: options.clone(), ..request() };
    let error = start(&world.host, &world.images, with_addons()).await.unwrap_err();
    assert!(matches!(&error, ClusterError::AddonsRefused { .. }), "{error:?}");
    let (reason, told) = (error.reason(), skiff_report::chain(&error));
    assert!(told.contains("registry") && told.contains("spec.nonsense"), "{told}");
    assert_ne!(reason.exit.0, 0);
    assert!(reason.advice.contains("skiff addons enable"), "{}", reason.advice);
    // The cluster is there, with the addons that it took, and remembers what was wanted.
    assert_eq!(world.host.store.load(&name()).unwrap().unwrap().status.phase, Phase::Created);
    assert!(world.kubeconfig().contains("dev") && has(&world, "Deployment kube-system/skiff-metrics-server"));
    assert_eq!(wish(&world, "registry").enabled, Some(true));

    // A start that is not about it only tells; one that is says so again; then it comes by itself.
    start(&world.host, &world.images, request()).await.unwrap();
    let again = start(&world.host, &world.images, with_addons()).await.unwrap_err();
    assert!(matches!(again, ClusterError::AddonsRefused { .. }), "{again:?}");
    refuses(None);
    start(&world.host, &world.images, request()).await.unwrap();
    assert!(has(&world, "Service kube-system/registry"));
}

#[tokio::test]
async fn a_disable_that_is_cut_off_is_finished_by_the_next_start() {
    let world = started().await;
    enable(&world, &["metrics-server"], &[]).await.unwrap();
    *world.host.api.stuck.lock().unwrap() = Some("skiff-metrics-server".to_owned());
    disable(&world, &["metrics-server"]).await.unwrap_err();
    assert_eq!(wish(&world, "metrics-server").enabled, Some(false));
    assert!(has(&world, "ConfigMap kube-system/skiff-addon-metrics-server"), "somebody knows what is left");
    *world.host.api.stuck.lock().unwrap() = None;
    start(&world.host, &world.images, request()).await.unwrap();
    assert!(!objects(&world).iter().any(|object| object.contains("metrics-server")));
}

#[tokio::test]
async fn a_cluster_that_lost_its_first_node_takes_addons_still() {
    let world = World::new();
    let mut ha = request();
    ha.given.ha = Some("true".into());
    start(&world.host, &world.images, ha).await.unwrap();
    for (node, stored) in [(0, false), (1, false), (2, true)] {
        stop_node(&world.host, &name(), name().node(node).as_str()).await.unwrap();
        let report = enable(&world, &["registry"], &[&format!("size={}Gi", node + 1)]).await.unwrap();
        assert_eq!(report.stored, stored, "without node {node}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_addon_of_a_machine_that_ended() {
    let world = started().await;
    *world.host.api.silent.lock().unwrap() = true;
    let request = AddonRequest { patience: Duration::from_hours(1), ..asked(&["registry"], &[]) };
    let (dev, node) = (name(), name().node(0));
    let (enabled, ()) = tokio::join!(enable_addons(&world.host, &dev, &request), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.host.driver.stop(&dev, &node).await.unwrap();
    });
    assert!(matches!(enabled, Err(ClusterError::NodeEnded { .. })), "{enabled:?}");
    assert_eq!(wish(&world, "registry"), AddonWish::default());
}
