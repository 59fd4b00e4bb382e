//! What may be there after a start, and after all is deleted.

use std::{collections::BTreeSet, fs, process::Command};

use super::{
    process,
    world::{OTHER, World},
};
use crate::{Cluster, Finished, eventually};

/// What may run in the world outside of containers.
const PROGRAMS: [&str; 7] =
    ["sh", "chaos", "dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "docker-init"];

fn lines(command: &mut Command) -> BTreeSet<String> {
    Finished::of(command).ok().stdout.lines().map(str::to_owned).collect()
}

fn docker(args: &[&str]) -> BTreeSet<String> {
    lines(Command::new("docker").args(args))
}

/// Asserts that profile, machines and API tell of the same nodes, that all of them work, and that
/// there is nothing else.
pub(super) fn is_whole(world: &World, cluster: &Cluster<'_>) {
    let _ = cluster.kubectl(&["wait", "node", "--all", "--for=condition=Ready", "--timeout=120s"]).ok();
    cluster.has_status(0);
    let nodes: BTreeSet<String> = nodes(cluster).into_iter().collect();
    let known = lines(&mut cluster.kubectl_command(&["get", "nodes", "-o", "custom-columns=:.metadata.name"]));
    assert_eq!(known.into_iter().filter(|line| !line.is_empty()).collect::<BTreeSet<_>>(), nodes, "nodes of the API");
    let containers: BTreeSet<String> = nodes.iter().cloned().chain(entrance(world, cluster)).collect();
    assert_eq!(docker(&["ps", "-a", "--format", "{{.Names}}"]), containers, "containers");
    assert_eq!(docker(&["volume", "ls", "-q"]), nodes, "volumes");
    assert_eq!(networks(), BTreeSet::from([cluster.name.clone()]), "networks");
    let contexts = BTreeSet::from([cluster.name.clone(), OTHER.to_owned()]);
    assert_eq!(self::contexts(world), contexts, "contexts of the kubeconfig");
    nothing_else(world);
}

/// Asserts that nothing is left.
pub(super) fn is_empty(world: &World) {
    assert_eq!(docker(&["ps", "-aq"]), BTreeSet::new(), "containers");
    assert_eq!(docker(&["volume", "ls", "-q"]), BTreeSet::new(), "volumes");
    assert_eq!(networks(), BTreeSet::new(), "networks");
    assert_eq!(contexts(world), BTreeSet::from([OTHER.to_owned()]), "contexts of the kubeconfig");
    let rules = lines(&mut Command::new("iptables-save"));
    // Clusters have bridges and subnets of their own.
    let left: Vec<_> = rules.iter().filter(|rule| rule.contains("br-") || rule.contains("192.168.")).collect();
    assert!(left.is_empty(), "iptables rules: {left:#?}");
    let profiles = fs::read_dir(world.sandbox.home().join("profiles")).into_iter().flatten().flatten();
    assert_eq!(profiles.count(), 0, "profiles");
    nothing_else(world);
}

/// The nodes that skiff knows, the first one first.
pub(super) fn nodes(cluster: &Cluster<'_>) -> Vec<String> {
    let listed = cluster.run("node", &["list"]).ok();
    listed.stdout.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The container that leads to the control planes, if the profile tells of one: a cluster that once had two
/// keeps it.
fn entrance(world: &World, cluster: &Cluster<'_>) -> Option<String> {
    let profile = world.sandbox.home().join("profiles").join(&cluster.name).join("cluster.yaml");
    let told = fs::read_to_string(profile).expect("the profile").contains("\n  entrance:");
    told.then(|| format!("{}-entrance", cluster.name))
}

fn networks() -> BTreeSet<String> {
    let mut networks = docker(&["network", "ls", "--format", "{{.Name}}"]);
    networks.retain(|name| !["bridge", "host", "none"].contains(&name.as_str()));
    networks
}

fn contexts(world: &World) -> BTreeSet<String> {
    let kubectl = world.sandbox.cached_kubectl().expect("a kubectl in the cache");
    lines(
        Command::new(kubectl)
            .args(["config", "get-contexts", "-o", "name", "--kubeconfig"])
            .arg(world.sandbox.kubeconfig()),
    )
}

/// Asserts that no process works on and no file was forgotten.
fn nothing_else(world: &World) {
    eventually("the end of all processes that skiff began", || {
        let stray = |process: &process::Process| process.container.is_none() && !PROGRAMS.contains(&process.program());
        let left: Vec<_> = process::all().into_iter().filter(stray).map(|process| process.line).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    });
    let left = world.sandbox.forgotten_files();
    assert!(left.is_empty(), "files: {left:#?}");
}
