//! What happens to a cluster between its start and its end: paused, stopped later, written down,
//! exported, and deleted for those who forgot it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use skiff_test::{Cluster, Finished, Sandbox, eventually};

/// A pod network that is not skiff's.
const NETWORK: &str = include_str!("network.yaml");

fn state(cluster: &Cluster<'_>) -> String {
    let format = "{{.State.Status}}";
    Finished::of(Command::new("docker").args(["inspect", "--format", format, &cluster.name])).ok().text().to_owned()
}

/// The answer of a pod's own program, kubectl and API server together.
fn answers(cluster: &Cluster<'_>) {
    let _ = cluster.kubectl(&["get", "--raw", "/readyz"]).ok().says("ok");
}

fn pauses(cluster: &Cluster<'_>) {
    for _ in 0..2 {
        let _ = cluster.run("pause", &[]).ok();
    }
    assert_eq!(state(cluster), "paused");
    let _ = cluster.run("status", &[]).code(2).says("apiserver: Paused");
    // kubectl would hang; skiff's says why instead.
    let _ = cluster.kubectl(&["get", "nodes"]).code(103).says("is paused");
    let _ = cluster.run("unpause", &[]).ok();
    answers(cluster);

    let _ = cluster.run("pause", &["-n", "kube-system"]).ok().says("containers in: kube-system");
    assert_eq!(state(cluster), "running");
    let _ = cluster.run("status", &[]).code(2).says("apiserver: Paused");
    // A start lets go on what is frozen, whole or in part.
    let _ = cluster.run("pause", &[]).ok();
    let _ = cluster.run("start", &[]).ok();
    cluster.has_status(0);
    answers(cluster);
}

/// Whoever connects to a cluster that nobody used gets an answer, and pauses by hand stay.
fn is_paused_when_nobody_uses_it(cluster: &Cluster<'_>) {
    let frozen = |wanted: &str| {
        eventually(&format!("a cluster that is {wanted}"), || match state(cluster) {
            state if state == wanted => Ok(()),
            state => Err(state),
        });
    };
    let _ = cluster
        .run("start", &["--auto-pause-interval", "10s"])
        .ok()
        .says("auto-pause-interval: (default) -> 10s (live)");
    frozen("paused");
    let _ = cluster.run("status", &[]).code(2).says("apiserver: Paused");
    answers(cluster);
    frozen("running");
    frozen("paused");
    // Taken back, it is let go on and nobody is left to pause it.
    let _ = cluster.run("start", &["--auto-pause-interval", "0"]).ok();
    let note = cluster.sandbox().home().join("profiles").join(&cluster.name).join("auto-pause");
    assert!(!note.exists());
    answers(cluster);
}

fn is_written_down(cluster: &Cluster<'_>) {
    let file = cluster.sandbox().path().join("cluster.yaml");
    fs::write(&file, cluster.run("get", &["-o", "yaml"]).ok().stdout).expect("a file");
    let apply = |flags: &[&str]| {
        let path = file.to_string_lossy().into_owned();
        cluster.sandbox().run(&[&["apply", "-f", &path], flags].concat())
    };
    let _ = apply(&["--dry-run"]).ok().says("is what the file says");
    let _ = apply(&[]).ok().says("nothing was changed");
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, text.replace("memory: 2g", "memory: 2g\n  dnsDomain: other.local\n  nodes: 2")).expect("a file");
    let _ = apply(&["--dry-run"]).code(81).says("nodes: 1 -> 2 (live)").says("(needs recreate)");
    fs::write(&file, "apiVersion: skiff.dev/v1alpha1\nkind: Cluster\nspec:\n  memory: lots\n").expect("a file");
    let _ = apply(&[]).code(14).says("line 4: memory");
}

fn is_stopped_later(cluster: &Cluster<'_>) {
    let _ = cluster.run("stop", &["--schedule", "1h"]).ok();
    let _ = cluster.run("status", &[]).says("timeToStop: 59m");
    let _ = cluster.run("stop", &["--cancel-scheduled"]).ok();
    assert!(!cluster.run("status", &[]).stdout.contains("timeToStop"));
    let _ = cluster.run("stop", &["--schedule", "2s"]).ok();
    eventually("the stop of the cluster", || match state(cluster) {
        state if state == "exited" => Ok(()),
        state => Err(state),
    });
    let _ = cluster.run("stop", &["--schedule", "soon"]).code(14);
}

fn is_exported(cluster: &Cluster<'_>) {
    let folder = cluster.sandbox().path().join("export");
    let _ = cluster.run("export", &["logs", &folder.to_string_lossy()]).ok();
    let node = folder.join(&cluster.name);
    for file in ["kubelet.log", "containerd.log", "journal.log"] {
        assert!(fs::metadata(node.join(file)).is_ok_and(|file| file.len() > 0), "{file} is missing");
    }
    let pods = fs::read_dir(node.join("pods")).expect("logs of pods").flatten();
    assert!(pods.into_iter().any(|pod| pod.file_name().to_string_lossy().starts_with("kube-system_etcd")));
    let token = fs::read_to_string(cluster.sandbox().home().join("profiles").join(&cluster.name).join("token"));
    let found = Finished::of(Command::new("grep").args(["-r", token.expect("a token").trim()]).arg(&folder));
    assert_eq!(found.code, 1, "the token was exported: {found:?}");
}

pub(crate) fn a_cluster_lives_as_it_is_told() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let _ = cluster.run("start", &["--memory", "2g", "--ttl", "1h"]).ok();
    pauses(&cluster);
    is_paused_when_nobody_uses_it(&cluster);
    is_exported(&cluster);
    is_written_down(&cluster);
    is_stopped_later(&cluster);
    // Its time is not up.
    assert!(!sandbox.run(&["gc", "--dry-run"]).ok().stdout.contains(&format!("delete cluster \"{}\"", cluster.name)));
}

/// The URL of a text, for one who asks once.
fn serve_once(text: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}/network.yaml", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let _ = stream.read(&mut [0; 4096]).expect("its text");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        stream.write_all((head + text).as_bytes()).expect("an answer");
    });
    url
}

pub(crate) fn what_a_job_forgot_is_deleted_when_the_job_is_gone() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let mut job = Command::new("sleep").arg("600").spawn().expect("a job");
    let owner = job.id().to_string();
    // Its network comes from a URL: the start ends when a pod of that network has looked a name up.
    let url = serve_once(NETWORK);
    let _ = cluster.run("start", &["--memory", "2g", "--cni", &url, "--owner-pid", &owner]).ok();
    let bridge = cluster.run("ssh", &["--", "ip", "-brief", "address", "show", "test0"]).ok();
    assert!(bridge.text().contains("10.244.0.1/24"), "{bridge:?}");
    let gc = || sandbox.run(&["gc"]).ok().stdout;
    assert!(!gc().contains(&format!("Deleted cluster \"{}\"", cluster.name)));
    job.kill().expect("the job ends");
    job.wait().expect("the job has ended");
    // The profile may be lost as well: the machine knows for whom it was made.
    fs::remove_dir_all(sandbox.home().join("profiles").join(&cluster.name)).expect("the profile goes");
    assert!(gc().contains(&format!("Deleted cluster \"{}\"", cluster.name)));
    let kubeconfig = sandbox.kubeconfig();
    assert!(!fs::read_to_string(kubeconfig).unwrap_or_default().contains(&cluster.name));
    cluster.is_gone();
}

pub(crate) fn the_doctor_says_what_there_is() {
    let sandbox = Sandbox::new();
    let report = sandbox.run(&["doctor", "-o", "json"]);
    let json = report.json();
    assert_eq!(json["ok"].as_bool(), Some(report.code == 0), "{json}");
    let findings = json["findings"].as_array().expect("findings");
    for name in ["driver-docker", "memory", "inotify-instances", "clock"] {
        assert!(findings.iter().any(|finding| finding["name"] == name), "{name} was not looked at: {json}");
    }
    let needs_fix = findings.iter().filter(|finding| finding["level"] != "ok");
    assert!(needs_fix.into_iter().all(|finding| finding["fix"].is_string()), "{json}");
}
