//! A cluster in a virtual machine: one, shared by all checks, since a machine that is emulated starts
//! slowly.

use std::{fs, path::PathBuf, process::Command, time::SystemTime};

use skiff_test::{Cluster, Finished, Running, Sandbox, check_all, eventually, free_port};

use crate::workload::{self, NODE_PORT, World};

/// Leads whatever comes to the servers.
const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
";
/// How long a start may take where machines are emulated and the host is slow.
const PATIENCE: [&str; 2] = ["--wait-timeout", "30m"];

fn start(cluster: &Cluster<'_>, flags: &[&str]) -> Finished {
    cluster.run("start", &[&PATIENCE[..], flags].concat()).ok()
}

/// The folder of the cluster's machine.
fn machine(sandbox: &Sandbox, cluster: &Cluster<'_>) -> PathBuf {
    sandbox.home().join("vm/qemu/nodes").join(&cluster.name)
}

/// The number of QEMU's process.
fn process(sandbox: &Sandbox, cluster: &Cluster<'_>) -> String {
    let text = fs::read_to_string(machine(sandbox, cluster).join("pid")).expect("a pid file");
    text.split(':').next().expect("a number").to_owned()
}

/// What a start must bring back: the data, the address, the node's own keys.
fn identity(cluster: &Cluster<'_>) -> [String; 3] {
    let mark = cluster.kubectl(&["get", "configmap", "mark", "-o", "jsonpath={.data.is}"]).ok();
    let key = cluster.run("ssh", &["--", "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"]).ok();
    [mark.text().to_owned(), cluster.run("ip", &[]).ok().text().to_owned(), key.text().to_owned()]
}

fn host_is(cluster: &Cluster<'_>, state: &str) {
    eventually(&format!("host {state}"), || {
        let status = cluster.run("status", &["--format", "{{.Host}}"]);
        if status.text() == state { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

pub(crate) fn a_cluster_in_a_virtual_machine_does_what_one_in_a_container_does() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let port = free_port();
    let ports = format!("{port}:{NODE_PORT}");
    let size = ["--memory", "3g", "--disk-size", "10g", "--extra-disks", "1", "--ports", &ports];
    let _ = start(&cluster, &[&["--driver", "qemu"], &size[..]].concat());
    let _ = cluster.kubectl(&["create", "configmap", "mark", "--from-literal=is=there"]).ok();
    let before = identity(&cluster);
    assert_eq!(before[0], "there");
    is_a_machine(&cluster);
    let world = World::new(&cluster, port);
    workload::write(&world, "kept");
    check_all(&world, &workload::essentials());
    leads_the_host_to_its_services(&cluster);
    gets_another_node(&sandbox, &cluster);
    let _ = cluster.run("logs", &[]).ok().says(&cluster.name);

    goes_back(&cluster, &before);

    // Frozen and thawed.
    let _ = cluster.run("pause", &[]).ok();
    host_is(&cluster, "Paused");
    let _ = cluster.run("unpause", &[]).ok();
    assert_eq!(identity(&cluster), before);
    clock_is_right(&cluster);

    // QEMU killed, as by a host that loses power, and its number given to somebody else.
    let (number, file) = (process(&sandbox, &cluster), machine(&sandbox, &cluster).join("pid"));
    let stale = fs::read_to_string(&file).expect("the pid file");
    let _ = Finished::of(Command::new("kill").args(["-KILL", &number])).ok();
    host_is(&cluster, "Stopped");
    fs::write(&file, stale.replacen(&number, &std::process::id().to_string(), 1)).expect("the pid file");
    host_is(&cluster, "Stopped");
    let _ = start(&cluster, &[]).says("is ready");
    assert_eq!(identity(&cluster), before);
    workload::check_after_a_restart(&world);

    // Gone without a trace: the sandbox looks at the rest.
    let number = process(&sandbox, &cluster);
    let _ = cluster.run("delete", &[]).ok();
    assert!(!machine(&sandbox, &cluster).exists());
    eventually("the end of QEMU", || match fs::read_to_string(format!("/proc/{number}/stat")) {
        // Whoever has inherited it has not asked for it yet.
        Ok(stat) if !stat.contains(") Z ") => Err(stat),
        _ => Ok(()),
    });
    let networks = fs::read_dir(sandbox.home().join("vm/qemu/networks")).expect("the folder of networks");
    let left: Vec<_> = networks.flatten().filter(|entry| entry.path().extension().is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Through an ingress and a tunnel: the host does not reach the addresses of nodes.
fn leads_the_host_to_its_services(cluster: &Cluster<'_>) {
    let _ = cluster.run("service", &["list"]).ok().says("http/80");
    let _ = cluster.run("addons", &["enable", "ingress"]).ok();
    cluster.apply(INGRESS);
    let mut tunnel = Running::start(&mut cluster.skiff("tunnel", &[]));
    assert!(tunnel.wrote("kube-system/skiff-ingress port 80 is at "), "{}", tunnel.output());
    let output = tunnel.output();
    let address = output.split("skiff-ingress port 80 is at ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {output}"));
    workload::a_server_answers(address);
}

/// Another machine of the same disk joins, and leaves.
fn gets_another_node(sandbox: &Sandbox, cluster: &Cluster<'_>) {
    let name = format!("{}-m02", cluster.name);
    let _ = cluster.run("node", &["add"]).ok().says("Successfully added m02");
    let _ = cluster.run("ssh", &["--node", "m02", "--", "hostname"]).ok().says(&name);
    let images = fs::read_dir(sandbox.home().join("vm/qemu/images")).expect("the folder of disks");
    assert_eq!(images.flatten().filter(|image| image.path().is_dir()).count(), 1, "a disk was made for each node");
    let _ = cluster.run("node", &["delete", "m02"]).ok().says("was successfully deleted");
    assert!(!sandbox.home().join("vm/qemu/nodes").join(name).exists());
}

/// A snapshot brings a running cluster back, memory and disks.
fn goes_back(cluster: &Cluster<'_>, before: &[String; 3]) {
    let run = cluster.run("ssh", &["--", "cat /proc/sys/kernel/random/boot_id"]).ok();
    let _ = cluster.run("snapshot", &["save", "base"]).ok().says("memory and disks");
    let _ = cluster.run("snapshot", &["save", "base"]).code(81);
    let _ = cluster.kubectl(&["delete", "configmap", "mark"]).ok();
    let _ = cluster.run("ssh", &["--", "rm /etc/machine-id"]).ok();
    let _ = cluster.run("snapshot", &["restore", "base"]).ok().says("Restored cluster");
    assert_eq!(identity(cluster), *before);
    let same = cluster.run("ssh", &["--", "cat /proc/sys/kernel/random/boot_id"]).ok();
    assert_eq!(same.text(), run.text(), "it went on and did not boot");
    clock_is_right(cluster);
    let _ = cluster.run("snapshot", &["delete", "base"]).ok();
    let _ = cluster.run("snapshot", &["restore", "base"]).code(85);
}

/// A machine that stood still has the host's time again.
fn clock_is_right(cluster: &Cluster<'_>) {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    eventually("the host's time", || {
        let before = now();
        let told = cluster.run("ssh", &["--", "date +%s"]).ok();
        let there: u64 = told.text().parse().expect("seconds");
        // Whole seconds on both sides, and what the machine's service lets pass.
        if (before - 4..=now() + 4).contains(&there) { Ok(()) } else { Err(format!("{there}, not {before}")) }
    });
}

/// A kernel, processes and disks of its own.
fn is_a_machine(cluster: &Cluster<'_>) {
    let node = cluster.run("ssh", &["--", "stat -f -c %T /sys/fs/cgroup; hostname; lsblk -bdno NAME,SIZE"]).ok();
    let _ = node.says("cgroup2fs").says(&cluster.name);
    let disks =
        cluster.run("ssh", &["--", "cat /sys/block/vdb/size /sys/block/vdd/size; df -B1G --output=size /var"]).ok();
    let sectors = |gib: u64| (gib << 21).to_string();
    let _ = disks.says(&sectors(10)).says(&sectors(20));
}
