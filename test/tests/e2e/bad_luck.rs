//! Starts that are cut off, raced or robbed: nothing is lost, nothing is left, the next one works.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use skiff_test::{Cluster, Finished, Running, Sandbox, eventually};

/// Starts the cluster and stops watching when it says something.
fn start_until(cluster: &Cluster<'_>, flags: &[&str], moment: &str) -> Running {
    let mut start = Running::start(&mut cluster.skiff("start", flags));
    assert!(start.wrote(moment), "never said `{moment}`: {}", start.output());
    start
}

fn kill_at(cluster: &Cluster<'_>, flags: &[&str], moment: &str) {
    let start = start_until(cluster, flags, moment);
    start.signal("KILL");
    let _ = start.finish().code(128 + 9);
}

/// The cluster is whole: a pod's name look-up and the node's state were part of the start.
fn works(cluster: &Cluster<'_>) {
    cluster.has_status(0);
    let _ = cluster.kubectl(&["get", "serviceaccount", "default"]).ok();
}

pub(crate) fn a_killed_start_is_picked_up_by_the_next() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    for moment in ["Starting node", "Creating node", "Booting the control plane", "Waiting until"] {
        kill_at(&cluster, &[], moment);
        // What is half there can be asked for: an answer in bits, or that there is no such cluster.
        let status = cluster.run("status", &[]);
        assert!(status.code < 8 || status.code == 85, "{status:?}");
        // Only the last of these moments has a cluster that may work.
        assert!(status.code != 0 || moment == "Waiting until", "{status:?}");
    }
    let _ = cluster.run("start", &[]).ok().says("is ready");
    works(&cluster);

    // From here on there is data, which no kill may cost.
    let _ = cluster.kubectl(&["create", "configmap", "mark"]).ok();
    let changed = ["--extra-config", "kubelet.max-pods=42"];
    for moment in ["Creating node", "Booting the control plane", "Waiting until"] {
        kill_at(&cluster, &changed, moment);
    }
    let _ = cluster.run("start", &changed).ok();
    works(&cluster);
    let _ = cluster.kubectl(&["get", "configmap", "mark"]).ok();

    let _ = cluster.run("stop", &[]).ok();
    kill_at(&cluster, &[], "Starting node");
    let _ = cluster.run("start", &[]).ok();
    works(&cluster);
    let _ = cluster.kubectl(&["get", "configmap", "mark"]).ok();
}

pub(crate) fn an_interrupted_start_leaves_nothing_of_what_it_began() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    for (moment, signal, code) in [("Creating node", "INT", 130), ("Booting the control plane", "TERM", 143)] {
        let start = start_until(&cluster, &[], moment);
        start.signal(signal);
        let _ = start.finish().code(code).says("MK_INTERRUPTED");
        cluster.is_gone();
    }
    // A killed start and then delete.
    kill_at(&cluster, &[], "Booting the control plane");
    let _ = cluster.run("delete", &[]).ok();
    cluster.is_gone();

    two_starts_of_one_profile_take_turns(&cluster);
    keys_are_for_their_owner_only(&sandbox);

    // What was usable once is not undone.
    let _ = cluster.run("stop", &[]).ok();
    let start = start_until(&cluster, &[], "Starting node");
    start.signal("INT");
    let _ = start.finish().code(130);
    a_taken_port_is_given_up_for_another_and_nothing_is_lost(&cluster);
}

fn two_starts_of_one_profile_take_turns(cluster: &Cluster<'_>) {
    let first = start_until(cluster, &[], "Starting node");
    let mut second = Running::start(&mut cluster.skiff("start", &[]));
    assert!(second.wrote(&format!("Waiting for `skiff start` (process {})", first.id())), "{}", second.output());
    let _ = first.finish().ok().says("is ready");
    let _ = second.finish().ok().says("nothing was changed");
}

fn keys_are_for_their_owner_only(sandbox: &Sandbox) {
    let mut seen = 0;
    let mut folders = vec![sandbox.home()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if holds_a_secret(&path) {
                seen += 1;
                is_private(&path);
            }
        }
    }
    is_private(&sandbox.kubeconfig());
    assert!(seen > 5, "only {seen} files with keys were found");
}

fn holds_a_secret(path: &Path) -> bool {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.contains("PRIVATE KEY") || text.contains("client-key") || path.ends_with("token")
}

fn is_private(path: &Path) {
    let mode = fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{} may be read by others: {mode:o}", path.display());
}

/// The port of a stopped cluster's API server goes to somebody else.
fn a_taken_port_is_given_up_for_another_and_nothing_is_lost(cluster: &Cluster<'_>) {
    let _ = cluster.run("start", &[]).ok();
    let _ = cluster.kubectl(&["create", "configmap", "mark"]).ok();
    let server = cluster.kubectl(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]).ok();
    let port: u16 = server.text().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let _ = cluster.run("stop", &[]).ok();
    let thief = eventually("the port of a stopped cluster", || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())
    });
    let _ = cluster.run("start", &[]).ok().says(&format!("{port}, which")).says("leads there now");
    works(cluster);
    drop(thief);
    let _ = cluster.kubectl(&["get", "configmap", "mark"]).ok();
}

pub(crate) fn two_profiles_and_other_peoples_contexts_live_beside_each_other() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.cluster(), sandbox.cluster());
    let done = AtomicBool::new(false);
    let added = thread::scope(|scope| {
        let others = scope.spawn(|| edit_until(&sandbox, &done));
        let work = scope.spawn(|| {
            both(&one, &two, "start");
            works(&one);
            works(&two);
            both(&one, &two, "stop");
            both(&one, &two, "start");
            a_damaged_profile_harms_nobody_else(&two, &one);
            // Without its profile a cluster is found by its labels.
            fs::remove_dir_all(sandbox.home().join("profiles").join(&one.name)).expect("the profile");
            let _ = one.run("delete", &[]).ok();
        });
        let worked = work.join();
        done.store(true, Ordering::Relaxed);
        let added = others.join().expect("other people");
        worked.expect("the work on the clusters");
        added
    });
    // kubectl reads before it locks: one that read just before a delete has written the entries back.
    for cluster in [&one, &two] {
        let _ = cluster.run("delete", &[]).ok();
        cluster.is_gone();
    }
    let text = fs::read_to_string(sandbox.kubeconfig()).expect("a kubeconfig");
    let lost: Vec<usize> = (0..added).filter(|n| !text.contains(&format!("name: other-{n}\n"))).collect();
    assert!(added > 0 && lost.is_empty(), "{} of {added} contexts are lost: {lost:?}\n{text}", lost.len());
}

/// Adds contexts to the kubeconfig, as other people's tools do; returns how many.
fn edit_until(sandbox: &Sandbox, done: &AtomicBool) -> usize {
    let mut added = 0;
    while !done.load(Ordering::Relaxed) {
        if let Some(kubectl) = sandbox.cached_kubectl() {
            let mut edit = Command::new(kubectl);
            edit.env("KUBECONFIG", sandbox.kubeconfig()).args(["config", "set-context", &format!("other-{added}")]);
            // kubectl gives up at once when somebody else has the file.
            if Finished::of(edit.arg("--cluster=none")).code == 0 {
                added += 1;
            }
        }
        // Most of the processors are for the clusters.
        thread::sleep(Duration::from_millis(300));
    }
    added
}

/// Does something with two clusters at once.
fn both(one: &Cluster<'_>, two: &Cluster<'_>, verb: &str) {
    let running = [one, two].map(|cluster| Running::start(&mut cluster.skiff(verb, &[])));
    for done in running {
        let _ = done.finish().ok();
    }
}

fn a_damaged_profile_harms_nobody_else(damaged: &Cluster<'_>, other: &Cluster<'_>) {
    let sandbox = damaged.sandbox();
    let file = sandbox.home().join("profiles").join(&damaged.name).join("cluster.yaml");
    fs::write(&file, "apiVersion: [\n").expect("the profile");
    for verb in ["status", "start"] {
        let told = damaged.run(verb, &[]).code(38).says("HOST_CONFIG_LOAD").says(&file.to_string_lossy());
        let _ = told.says(&format!("skiff delete -p {}", damaged.name));
    }
    let _ = other.run("start", &[]).ok().says("nothing was changed");
    other.has_status(0);
    let header = format!("apiVersion: skiff.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {}}}\n", damaged.name);
    for text in ["apiVersion: [\n".to_owned(), format!("{header}spec: {{memory: lots}}\n")] {
        fs::write(&file, text).expect("the profile");
        let list = sandbox.run(&["profile", "list", "-o", "json"]).ok().json();
        assert_eq!(list["invalid"][0]["Name"], damaged.name.as_str(), "{list}");
        assert_eq!(list["valid"][0]["Name"], other.name.as_str(), "{list}");
    }
    let _ = damaged.run("delete", &[]).ok();
}
