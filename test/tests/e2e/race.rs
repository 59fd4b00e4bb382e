//! Twenty skiffs at once, on a few clusters and one kubeconfig: each does what it was asked, and none
//! undoes what another did.

use std::{collections::BTreeSet, process::Command, thread};

use skiff_test::{Cluster, Finished, Sandbox};

/// Runs everything at once; ends when all have ended.
fn at_once(commands: Vec<Command>) -> Vec<Finished> {
    let running = commands.into_iter().map(|mut command| thread::spawn(move || Finished::of(&mut command)));
    let running: Vec<_> = running.collect();
    running.into_iter().map(|thread| thread.join().expect("a command that ended")).collect()
}

fn inspect(format: &str, kind: &str, name: &str) -> String {
    Finished::of(Command::new("docker").args([kind, "inspect", "--format", format, name])).ok().text().to_owned()
}

/// Every port of this host that a cluster has.
fn ports(cluster: &Cluster<'_>) -> Vec<String> {
    let format = "{{range $port, $at := .HostConfig.PortBindings}}{{range $at}}{{.HostPort}} {{end}}{{end}}";
    inspect(format, "container", &cluster.name).split_whitespace().map(str::to_owned).collect()
}

fn subnet(cluster: &Cluster<'_>) -> String {
    inspect("{{range .IPAM.Config}}{{.Subnet}}{{end}}", "network", &cluster.name)
}

fn is_usable(cluster: &Cluster<'_>) {
    cluster.has_status(0);
    // The user's kubeconfig leads to this cluster, and to no other.
    let mut kubectl = Command::new(cluster.sandbox().cached_kubectl().expect("a kubectl"));
    kubectl.args(["--context", &cluster.name, "get", "nodes", "-o", "name"]);
    kubectl.env("KUBECONFIG", cluster.sandbox().kubeconfig());
    assert_eq!(Finished::of(&mut kubectl).ok().text(), format!("node/{}", cluster.name));
}

pub(crate) fn twenty_commands_at_once_do_what_they_were_asked() {
    let sandbox = Sandbox::new();
    let clusters = [sandbox.cluster(), sandbox.cluster(), sandbox.cluster()];
    let never = sandbox.cluster();

    let mut commands = Vec::new();
    for cluster in &clusters {
        // The second start of the same cluster waits for the first, and finds nothing to do.
        commands.push(cluster.skiff("start", &["--memory", "2g", "--wait-timeout", "10m"]));
        commands.push(cluster.skiff("start", &["--memory", "2g", "--wait-timeout", "10m"]));
        commands.push(cluster.skiff("update-context", &[]));
    }
    let asked = commands.len();
    for setting in ["cpus", "memory", "disk-size"] {
        commands.push(sandbox.skiff(
            &["config", "set", setting, "max"].map(
                |word| {
                    if word == "max" && setting == "disk-size" { "20g" } else { word }
                },
            ),
        ));
    }
    for _ in 0..3 {
        commands.push(sandbox.skiff(&["profile", "list", "-o", "json"]));
    }
    commands.push(sandbox.skiff(&["gc", "--dry-run"]));
    commands.extend((0..4).map(|_| never.skiff("delete", &[])));
    assert_eq!(commands.len(), 20);
    let finished = at_once(commands);

    for (at, finished) in finished.into_iter().enumerate() {
        match at % 3 {
            // Before the start that makes the cluster there is none whose context could be repaired.
            2 if at < asked => assert!([0, 85].contains(&finished.code), "{finished:?}"),
            _ => drop(finished.ok()),
        }
    }
    for cluster in &clusters {
        is_usable(cluster);
    }
    let ports: Vec<String> = clusters.iter().flat_map(ports).collect();
    assert_eq!(ports.len(), 6, "{ports:?}");
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 6, "a port was given twice: {ports:?}");
    let subnets: BTreeSet<String> = clusters.iter().map(subnet).collect();
    assert_eq!(subnets.len(), 3, "a subnet was given twice: {subnets:?}");
    for (key, value) in [("cpus", "max"), ("memory", "max"), ("disk-size", "20g")] {
        assert_eq!(sandbox.run(&["config", "get", key]).ok().text(), value, "a setting was lost");
    }

    // A cluster is deleted twice and looked at while the next one stops and starts.
    let commands = vec![
        clusters[0].skiff("delete", &[]),
        clusters[0].skiff("delete", &[]),
        clusters[1].skiff("stop", &[]),
        clusters[1].skiff("start", &[]),
        sandbox.skiff(&["profile", "list"]),
    ];
    for finished in at_once(commands) {
        drop(finished.ok());
    }
    clusters[0].is_gone();
    // Whichever of stop and start came last, another start ends in a cluster that works.
    let _ = clusters[1].run("start", &[]).ok();
    is_usable(&clusters[1]);
    is_usable(&clusters[2]);
}
