//! An upgrade of a cluster that is in use. The newer version is the same source of Debian's, built a
//! second time and stamped v1.20.3: no mirror has another one.

use std::process::Command;

use skiff_test::{Cluster, Finished, Running, Sandbox, eventually};

const IMAGE: &str = "skiff-test/busybox:1";
const MANIFESTS: &str = include_str!("upgrade.yaml");
const OLD: &str = "v1.20.2";
const NEW: &str = "v1.20.3";

/// A command that may have any patch version.
fn skiff(cluster: &Cluster<'_>, verb: &str, args: &[&str]) -> Command {
    let mut command = cluster.skiff(verb, args);
    command.env("SKIFF_ARTIFACTS", "debian-any-patch");
    command
}

fn run(cluster: &Cluster<'_>, verb: &str, args: &[&str]) -> Finished {
    Finished::of(&mut skiff(cluster, verb, args))
}

pub(crate) fn a_cluster_in_use_is_upgraded_node_by_node_and_back_when_that_fails() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let _ = run(&cluster, "start", &["--nodes", "2", "--memory", "3g"]).ok();
    let _ = cluster.load_busybox(IMAGE);
    cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE));
    works_at(&cluster, OLD);
    let available = transition(&cluster);
    let mut count = counted(&cluster, 0);

    let _ = run(&cluster, "start", &["--kubernetes-version", "v1.20.1"]).code(106).says("K8S_DOWNGRADE_UNSUPPORTED");
    let plan = run(&cluster, "upgrade", &["--to", NEW, "--dry-run"]).ok();
    let _ = plan.says(&format!("apply     {}: control plane and kubelet to {NEW}", cluster.name));
    works_at(&cluster, OLD);

    // The new API server does not know a flag: all is as it was.
    let typo = ["--kubernetes-version", NEW, "--extra-config", "apiserver.no-such-flag=1", "--wait-timeout", "30s"];
    let failed = run(&cluster, "start", &typo).says("K8S_UPGRADE_UNDONE").says(&format!("runs {OLD} as before"));
    assert_ne!(failed.code, 0, "{failed:?}");
    works_at(&cluster, OLD);
    count = counted(&cluster, count);

    // Killed between two nodes: the next start goes on.
    let worker = format!("{}-m02", cluster.name);
    let mut upgrade = Running::start(&mut skiff(&cluster, "upgrade", &["--to", NEW]));
    for node in [&cluster.name, &worker] {
        assert!(upgrade.wrote(&format!("Bringing node {node} to")), "{}", upgrade.output());
    }
    upgrade.signal("KILL");
    let _ = upgrade.finish().code(128 + 9);
    let _ = run(&cluster, "node", &["start", "m02"]).code(101).says("K8S_UPGRADE_UNFINISHED");
    let _ = run(&cluster, "start", &[]).ok().says("was cut off: going on with it").says(NEW);
    works_at(&cluster, NEW);
    let _ = counted(&cluster, count);
    // It never had fewer than one server.
    assert_eq!(transition(&cluster), available);
    let _ = run(&cluster, "start", &[]).ok().says("nothing was changed");
}

/// All nodes have the version and work, and so do the pods; the one that nobody would make again is there.
fn works_at(cluster: &Cluster<'_>, version: &str) {
    let versions = "jsonpath={range .items[*]}{.status.nodeInfo.kubeletVersion} {.spec.unschedulable}\n{end}";
    let nodes = cluster.kubectl(&["get", "nodes", "-o", versions]).ok();
    assert!(nodes.stdout.lines().all(|line| line.trim() == version), "{nodes:?}");
    let server = cluster.kubectl(&["get", "--raw", "/version"]).ok().json();
    assert_eq!(server["gitVersion"], version);
    for wait in [
        ["node", "--all", "--for=condition=Ready", "--timeout=600s"],
        ["deployment", "--all", "--for=condition=Available", "--timeout=600s"],
        ["pod/alone", "--all=false", "--for=condition=Ready", "--timeout=600s"],
    ] {
        let _ = cluster.kubectl(&[&["wait"][..], &wait].concat()).ok();
    }
}

/// Since when one of the two servers at least has been there.
fn transition(cluster: &Cluster<'_>) -> String {
    let field = "jsonpath={.status.conditions[?(@.type==\"Available\")].status} \
                 {.status.conditions[?(@.type==\"Available\")].lastTransitionTime}";
    let told = cluster.kubectl(&["get", "deployment", "web", "-o", field]).ok();
    assert!(told.text().starts_with("True "), "{told:?}");
    told.text().to_owned()
}

/// How far the writer is: further than it was, and no number is missing or there twice.
fn counted(cluster: &Cluster<'_>, before: u64) -> u64 {
    let log = eventually("the writer goes on", || {
        let log = cluster.kubectl(&["exec", "deployment/counter", "--", "busybox", "cat", "/data/log"]);
        let last = log.stdout.lines().last().and_then(|line| line.parse::<u64>().ok());
        if log.code == 0 && last.is_some_and(|last| last > before) { Ok(log) } else { Err(format!("{log:?}")) }
    });
    let numbers: Vec<u64> = log.stdout.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    numbers.len() as u64
}
