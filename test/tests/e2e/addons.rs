//! Addons: in and out without a trace, whatever cuts it short, and with the true cause when one does not work.

use std::{fs, path::Path, thread, time::Duration};

use skiff_test::{Cluster, Running, Sandbox, eventually};

/// An addon that is quick to come and go, and needs no proof by pods.
const MARKER: &str = "apiVersion: skiff.dev/v1alpha1
kind: Addon
metadata: {name: marker}
spec:
  description: A mark in the cluster
  maintainer: tests
  docs: test/tests/e2e/addons.rs
  kubernetes: '>=1.20'
  values:
    - {name: text, type: string, default: there, description: What it says}
  manifests: [marker.yaml]
";
const MANIFEST: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: skiff-marker, namespace: kube-system}
data: {text: \"{{value.text}}\"}
";

/// One whose container ends at once, and that needs another addon.
const CRASHER: &str = "apiVersion: skiff.dev/v1alpha1
kind: Addon
metadata: {name: crasher}
spec:
  description: It ends again and again
  maintainer: tests
  docs: test/tests/e2e/addons.rs
  kubernetes: '>=1.20'
  requires: [marker]
  images: [{name: agent, preloaded: true}]
  manifests: [crasher.yaml]
  ready: [{deployment: kube-system/skiff-crasher}]
";
const CRASHING: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: skiff-crasher, namespace: kube-system}
spec:
  selector: {matchLabels: {app: skiff-crasher}}
  template:
    metadata: {labels: {app: skiff-crasher}}
    spec:
      containers:
        - name: main
          image: {{image}}
          args: [--nonsense]
          # Without one it would be ready for a moment.
          readinessProbe: {exec: {command: [/nothing]}}
";
/// One whose manifests are none.
const BROKEN: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: skiff-broken, namespace: kube-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: kube-system}
---
kind: Secret
metadata: {name: skiff-broken}
";

/// Writes an addon into the catalog.
fn write(catalog: &Path, name: &str, entry: &str, manifests: &str) {
    let folder = catalog.join(name);
    fs::create_dir_all(&folder).expect("a folder for the addon");
    fs::write(folder.join("addon.yaml"), entry).expect("the entry");
    fs::write(folder.join(format!("{name}.yaml")), manifests).expect("the manifests");
}

/// Everything that an addon may bring. What the cluster makes by itself meanwhile is left out.
fn objects(cluster: &Cluster<'_>) -> Vec<String> {
    let kinds = "deployments,daemonsets,statefulsets,services,serviceaccounts,configmaps,roles,rolebindings,\
                 clusterroles,clusterrolebindings,storageclasses,apiservices,ingressclasses,\
                 customresourcedefinitions,priorityclasses";
    let listed = cluster.kubectl(&["get", kinds, "--all-namespaces", "-o", "name"]).ok();
    let mut objects: Vec<String> = listed.stdout.lines().map(str::to_owned).collect();
    objects.sort();
    objects
}

fn addons(cluster: &Cluster<'_>, args: &[&str]) -> skiff_test::Finished {
    cluster.run("addons", args)
}

pub(crate) fn addons_come_and_go_without_a_trace() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let catalog = sandbox.path().join("catalog");
    write(&catalog, "marker", MARKER, MANIFEST);
    write(&catalog, "crasher", CRASHER, CRASHING);
    write(&catalog, "broken", &MARKER.replace("marker", "broken"), BROKEN);
    let added = addons(&cluster, &["catalog", "add", "ours", &catalog.to_string_lossy()]).ok();
    let _ = added.says("brings broken, crasher, marker");

    let _ = addons(&cluster, &["enable", "marker"]).code(85);
    let wrong = cluster.run("start", &["--addons", "marker,markre", "--set", "marker.txet=a"]).code(14);
    let _ = wrong.says("did you mean `marker`?").says("did you mean `text`?");
    let _ = cluster.run("start", &["--addons", "marker", "--set", "marker.text=there"]).ok();
    let mark =
        cluster.kubectl(&["get", "configmap", "skiff-marker", "-n", "kube-system", "-o", "jsonpath={.data.text}"]);
    assert_eq!(mark.ok().text(), "there");
    // A start does not wait for those that are on by themselves.
    let told = eventually("addons that all run", || {
        let told = addons(&cluster, &["status"]);
        if told.code == 0 { Ok(told) } else { Err(format!("{told:?}")) }
    });
    let _ = told.says("marker").says("storage-provisioner");
    let _ = addons(&cluster, &["disable", "marker"]).ok().says("The 'marker' addon is disabled");

    twenty_times(&cluster);
    killed_half_way(&cluster);
    an_image_that_cannot_be_pulled(&cluster);
    a_container_that_ends_again_and_again(&cluster);
    others_things_are_named(&cluster);
    what_cannot_be_is_told(&cluster);
    a_wish_for_a_cluster_that_is_off(&cluster);
}

fn twenty_times(cluster: &Cluster<'_>) {
    let before = objects(cluster);
    for round in 0..20 {
        // Most rounds are quick; some bring pods as well.
        let name = match round % 10 {
            4 => "ingress",
            9 => "metrics-server",
            _ => "marker",
        };
        let _ = addons(cluster, &["enable", name]).ok();
        assert_ne!(objects(cluster), before);
        let _ = addons(cluster, &["disable", name]).ok();
    }
    assert_eq!(objects(cluster), before);
}

fn killed_half_way(cluster: &Cluster<'_>) {
    let before = objects(cluster);
    for (milliseconds, next) in [(40, "disable"), (120, "disable"), (200, "enable"), (400, "disable")] {
        let enable = Running::start(&mut cluster.skiff("addons", &["enable", "metrics-server"]));
        thread::sleep(Duration::from_millis(milliseconds));
        enable.signal("KILL");
        let _ = enable.finish();
        let _ = addons(cluster, &[next, "metrics-server"]).ok();
        if next == "enable" {
            let _ = addons(cluster, &["status", "metrics-server"]).ok().says("Running");
            let _ = addons(cluster, &["disable", "metrics-server"]).ok();
        }
    }
    assert_eq!(objects(cluster), before);
}

fn an_image_that_cannot_be_pulled(cluster: &Cluster<'_>) {
    let before = objects(cluster);
    let image = "agent=nowhere.invalid/agent:1";
    let failed = addons(cluster, &["enable", "metrics-server", "--images", image]).code(40).says("INET_IMAGE_PULL");
    let _ = failed.says("nowhere.invalid/agent:1").says("is undone");
    assert_eq!(objects(cluster), before);
    let list = addons(cluster, &["list", "-o", "json"]).ok().json();
    assert_eq!(list["metrics-server"]["Status"], "disabled", "{list}");
}

fn a_container_that_ends_again_and_again(cluster: &Cluster<'_>) {
    let before = objects(cluster);
    let failed = addons(cluster, &["enable", "crasher"]).code(80).says("Enabling marker as well");
    let _ = failed.says("GUEST_POD_FAILED").says("unexpected argument '--nonsense'").says("is undone");
    assert_eq!(objects(cluster), before, "what was enabled for it is gone as well");
    let list = addons(cluster, &["list", "-o", "json"]).ok().json();
    assert_eq!(list["marker"]["Status"], "disabled", "{list}");
    let told = addons(cluster, &["enable", "broken"]).code(18).says("GUEST_MANIFEST");
    let _ = told.says("broken.yaml, line 5: ConfigMap").says("broken.yaml, line 9: Secret");
    let images = addons(cluster, &["images", "registry", "-o", "json"]).ok().json();
    assert_eq!(images[1]["Image"], "skiff.local/docker-registry:bookworm", "{images}");
}

fn others_things_are_named(cluster: &Cluster<'_>) {
    let _ = cluster.kubectl(&["create", "configmap", "skiff-marker", "-n", "kube-system"]).ok();
    let label = ["label", "configmap", "skiff-marker", "-n", "kube-system", "skiff.dev/addon=other"];
    let _ = cluster.kubectl(&label).ok();
    let _ = addons(cluster, &["enable", "marker"]).code(101).says("ConfigMap kube-system/skiff-marker");
    let _ = addons(cluster, &["enable", "marker", "--force"]).ok();
    let patch = ["patch", "configmap", "skiff-marker", "-n", "kube-system", "-p", "{\"data\":{\"text\":\"mine\"}}"];
    let _ = cluster.kubectl(&patch).ok();
    let refused = addons(cluster, &["enable", "marker"]).code(101).says("K8S_FIELD_CONFLICT");
    let _ = refused.says(".data.text").says("kubectl");
    let _ = cluster.run("start", &[]).ok().says("is left as it is");
    let _ = addons(cluster, &["enable", "marker", "--force", "--set", "text=a \"quoted\" one"]).ok();
    let mark =
        cluster.kubectl(&["get", "configmap", "skiff-marker", "-n", "kube-system", "-o", "jsonpath={.data.text}"]);
    assert_eq!(mark.ok().text(), "a \"quoted\" one");
    let _ = addons(cluster, &["disable", "marker"]).ok();
}

fn what_cannot_be_is_told(cluster: &Cluster<'_>) {
    let _ = addons(cluster, &["enable", "metrics-sever"]).code(10).says("did you mean `metrics-server`?");
    let _ = addons(cluster, &["enable", "dashboard"]).code(10).says("archived");
    let _ = addons(cluster, &["disable", "nothing-of-that-name"]).code(116);
    let _ =
        addons(cluster, &["enable", "marker", "--set", "txet=a", "--images", "x=y"]).code(14).says("txet").says("x=y");
    let _ = addons(cluster, &["open", "marker"]).code(11).says("SVC_ADDON_NOT_ENABLED");
    let home = cluster.sandbox().path().display().to_string();
    let pinned = ["catalog", "add", "more", &format!("{home}/catalog"), "--sha256", &"0".repeat(64)];
    let _ = addons(cluster, &pinned).code(40).says("INET_ADDON_CATALOG_HASH");
    let _ = cluster.run("pause", &[]).ok();
    let _ = addons(cluster, &["enable", "marker"]).code(11).says("paused");
    let _ = cluster.run("unpause", &[]).ok();
}

fn a_wish_for_a_cluster_that_is_off(cluster: &Cluster<'_>) {
    let _ = cluster.run("stop", &[]).ok();
    let _ = addons(cluster, &["enable", "marker"]).ok().says("will be enabled when");
    let _ = addons(cluster, &["disable", "load-balancer"]).ok();
    let _ = cluster.run("start", &[]).ok();
    let there = objects(cluster);
    assert!(there.iter().any(|object| object == "configmap/skiff-marker"), "{there:#?}");
    assert!(!there.iter().any(|object| object.contains("load-balancer")), "{there:#?}");
}
