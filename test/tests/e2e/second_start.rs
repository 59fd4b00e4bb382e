//! `start` on a cluster that is there already, in every state it can be in.

use std::{fs, process::Command};

use skiff_test::{Cluster, Finished, Sandbox, eventually};

/// What must not change when nothing is to be done: the machine, and every container in it.
fn machine(cluster: &Cluster<'_>) -> String {
    docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}", &cluster.name])
}

fn pods(cluster: &Cluster<'_>) -> String {
    let fields = "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
    cluster.kubectl(&["get", "pods", "--all-namespaces", "-o", fields]).ok().stdout
}

fn docker(args: &[&str]) -> String {
    Finished::of(Command::new("docker").args(args)).ok().text().to_owned()
}

fn start(cluster: &Cluster<'_>, flags: &[&str]) -> Finished {
    cluster.run("start", flags)
}

/// Leaves a mark in the cluster's data.
fn mark(cluster: &Cluster<'_>) {
    let _ = cluster.kubectl(&["create", "configmap", "mark", "--from-literal=is=there"]).ok();
}

/// The mark is there, and the cluster works: a name resolves and the node is Ready.
fn is_as_before(cluster: &Cluster<'_>, address: &str) {
    let mark = cluster.kubectl(&["get", "configmap", "mark", "-o", "jsonpath={.data.is}"]).ok();
    assert_eq!(mark.text(), "there");
    assert_eq!(cluster.run("ip", &[]).ok().text(), address);
    cluster.has_status(0);
    let _ = cluster.kubectl(&["wait", "node", "--all", "--for=condition=Ready", "--timeout=600s"]).ok();
}

pub(crate) fn a_cluster_survives_whatever_happens_to_its_machine() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    // Nobody is given this one unasked, so nobody takes it while the network is away.
    let subnet = format!("192.168.{}.0/24", 230 + std::process::id() % 20);
    let _ = start(&cluster, &["--subnet", &subnet]).ok();
    mark(&cluster);
    let address = cluster.run("ip", &[]).ok().text().to_owned();

    // Running and as asked: nothing is touched. The last pods come after the start.
    let last = ["-n", "kube-system", "rollout", "status", "daemonset/skiff-load-balancer", "--timeout=600s"];
    let _ = cluster.kubectl(&last).ok();
    let before = (machine(&cluster), pods(&cluster), fs::read(sandbox.kubeconfig()).expect("a kubeconfig"));
    let _ = start(&cluster, &[]).ok().says("nothing was changed");
    let _ = start(&cluster, &["--memory", "auto"]).ok().says("nothing was changed");
    let after = (machine(&cluster), pods(&cluster), fs::read(sandbox.kubeconfig()).expect("a kubeconfig"));
    assert_eq!(before, after);

    // Off.
    let server = |cluster: &Cluster<'_>| cluster.kubectl(&["config", "view", "--minify"]).ok().stdout;
    let before = server(&cluster);
    let _ = cluster.run("stop", &[]).ok();
    let _ = start(&cluster, &[]).ok().says("is ready");
    assert_eq!(before, server(&cluster));
    is_as_before(&cluster, &address);

    // Off, and its network tidied away, as `docker network prune` does.
    let _ = cluster.run("stop", &[]).ok();
    let _ = docker(&["network", "rm", &cluster.name]);
    let _ = start(&cluster, &[]).ok().says("is ready");
    is_as_before(&cluster, &address);

    // Killed, as by a host that loses power.
    let _ = docker(&["kill", &cluster.name]);
    let _ = start(&cluster, &[]).ok().says("is ready");
    is_as_before(&cluster, &address);

    // Removed by hand while it ran.
    let _ = docker(&["rm", "--force", &cluster.name]);
    assert_ne!(cluster.run("status", &[]).code, 0);
    let _ = start(&cluster, &[]).ok().says("is ready");
    is_as_before(&cluster, &address);

    // Its entry in the kubeconfig lost.
    fs::remove_file(sandbox.kubeconfig()).expect("the kubeconfig");
    cluster.has_status(4);
    let _ = start(&cluster, &[]).ok().says("nothing was changed");
    is_as_before(&cluster, &address);
}

pub(crate) fn changed_settings_are_applied_with_the_data_kept_or_refused_in_words() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let _ = start(&cluster, &[]).ok();
    mark(&cluster);
    let address = cluster.run("ip", &[]).ok().text().to_owned();

    let flags = [
        "--memory",
        "2200m",
        "--extra-config",
        "kubelet.max-pods=42",
        "--extra-config",
        "apiserver.event-ttl=2h",
        "--apiserver-names",
        "api.example.test",
    ];
    let _ = start(&cluster, &flags).ok().says("took over the changed settings");
    is_as_before(&cluster, &address);
    assert_eq!(docker(&["inspect", "--format", "{{.HostConfig.Memory}}", &cluster.name]), (2200_u64 << 20).to_string());
    let max_pods = || cluster.kubectl(&["get", "node", "-o", "jsonpath={.items[0].status.capacity.pods}"]).ok();
    eventually("the kubelet's new setting", || {
        let now = max_pods();
        if now.text() == "42" { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let api = cluster.run("ssh", &["--", "cat /etc/kubernetes/manifests/kube-apiserver.yaml"]).ok();
    let _ = api.says("--event-ttl=2h");
    let names = cluster.run("ssh", &["--", "cat /etc/kubernetes/pki/apiserver.crt"]).ok();
    let certificate = sandbox.path().join("apiserver.crt");
    fs::write(&certificate, names.stdout).expect("the certificate");
    let mut shown = Command::new("openssl");
    shown.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(&certificate);
    let _ = Finished::of(&mut shown).ok().says("DNS:api.example.test");

    // What was asked once stays asked.
    let _ = start(&cluster, &[]).ok().says("nothing was changed");

    let before = machine(&cluster);
    let _ = start(&cluster, &["--driver", "hyperkit"]).code(81).says("GUEST_DRIVER_MISMATCH");
    let _ = start(&cluster, &["--kubernetes-version", "v1.20.3"]).code(106).says("K8S_VERSION_UNAVAILABLE");
    let _ = start(&cluster, &["--dns-domain", "other.test"]).ok().says("--dns-domain other.test is left out");
    let _ = start(&cluster, &["--static-ip", "192.168.250.9"]).ok().says("--static-ip 192.168.250.9 is left out");
    assert_eq!(machine(&cluster), before);

    // A flag that the API server does not know: told by its name, and forgotten by the next start.
    let typo = start(&cluster, &["--extra-config", "apiserver.no-such-flag=1"]).code(14);
    let _ = typo.says("kube-apiserver does not know the flag").says("leave out --extra-config=apiserver.no-such-flag");
    let _ = start(&cluster, &[]).ok();
    assert_eq!(max_pods().text(), "42");
    is_as_before(&cluster, &address);
}
