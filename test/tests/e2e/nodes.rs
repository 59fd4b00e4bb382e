//! One cluster of three nodes: pods of different nodes, nodes that come, go, stop and are killed.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use skiff_test::{Cluster, Finished, Sandbox, check_all, eventually, free_port};

const IMAGE: &str = "skiff-test/busybox:1";
const MANIFESTS: &str = include_str!("nodes.yaml");

/// A pod of the daemon set.
#[derive(Debug, Clone)]
struct Pod {
    name: String,
    node: String,
    address: String,
}

pub(crate) fn nodes_come_and_go_and_their_pods_find_each_other() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let (port, folder) = (free_port(), sandbox.path().join("shared"));
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("word"), "seen").expect("a file");
    let (ports, mounts) = (format!("m03:{port}:30080"), format!("m02:{}:/shared:ro", folder.display()));
    let own = ["--ports", &ports, "--mounts", &mounts, "--node-labels", "tested=yes,m02:disk=fast"];
    let _ = cluster.run("start", &[&["--nodes", "3", "--memory", "3g"], &own[..]].concat()).ok();
    let archive = cluster.load_busybox(IMAGE);
    cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE));
    check_all(
        &cluster,
        &[
            ("pods", |cluster| pods_of_all_nodes_talk(cluster, 3)),
            ("node ports", every_node_answers_at_node_ports),
            ("limits", limits_are_what_pods_can_get),
            ("list and status", lists_tell_of_all_nodes),
            ("host", the_host_has_a_name),
            ("hairpin", a_pod_reaches_itself_through_its_service),
        ],
    );
    one_node_has_what_is_its_own(&cluster, port);
    limits_change_while_nodes_go_on(&cluster);
    a_killed_worker_comes_back(&cluster);
    a_node_is_stopped_and_started(&cluster);
    a_node_is_added_and_deleted(&cluster, &archive);
    let _ = cluster.run("stop", &[]).ok();
    let _ = cluster.run("start", &[]).ok();
    pods_of_all_nodes_talk(&cluster, 3);
    the_first_control_plane_leaves_and_kubectl_stays_as_it_is(&cluster);
}

fn one_node_has_what_is_its_own(cluster: &Cluster<'_>, port: u16) {
    let on = |short: &str, script: &str| cluster.run("ssh", &["-n", short, "--", script]);
    assert_eq!(on("m02", "cat /shared/word").ok().text(), "seen");
    assert_ne!(on("m02", "touch /shared/other").code, 0, "it may only be read");
    assert_ne!(on("m03", "ls /shared").code, 0, "it is not for others");
    let labelled = cluster.kubectl(&["get", "nodes", "-l", "disk=fast", "-o", "name"]).ok();
    assert_eq!(labelled.text(), format!("node/{}", node(cluster, "m02")));
    let bindings = Finished::of(Command::new("docker").args(["port", &node(cluster, "m03"), "30080/tcp"])).ok();
    assert_eq!(bindings.text(), format!("127.0.0.1:{port}"));
    let fetched = eventually("an answer at the published port", || fetch(port).map_err(|error| error.to_string()));
    assert!(fetched.contains("web-"), "{fetched}");
}

/// What a server of a pod answers at a port of this host.
fn fetch(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.starts_with("HTTP/1.") && text.contains(" 200 ") { Ok(text) } else { Err(io::Error::other(text)) }
}

fn limits_change_while_nodes_go_on(cluster: &Cluster<'_>) {
    let names = [cluster.name.clone(), node(cluster, "m02"), node(cluster, "m03")];
    let since = || {
        let format = ["inspect", "--format", "{{.State.StartedAt}}"];
        Finished::of(Command::new("docker").args(format).args(&names)).ok().stdout
    };
    let before = since();
    let _ = cluster.run("start", &["--memory", "2500m"]).ok().says("memory: 3g -> 2500m (live)");
    assert_eq!(since(), before);
    eventually("kubelets that tell of the new limit", || {
        let format = "jsonpath={.items[*].status.allocatable.memory}";
        let told = cluster.kubectl(&["get", "nodes", "-o", format]).ok();
        if told.text() == "2500Mi 2500Mi 2500Mi" { Ok(()) } else { Err(told.text().to_owned()) }
    });
}

fn node(cluster: &Cluster<'_>, short: &str) -> String {
    format!("{}-{short}", cluster.name)
}

/// The pods, once there is a ready one on each of so many nodes.
fn pods(cluster: &Cluster<'_>, count: usize) -> Vec<Pod> {
    eventually(&format!("{count} ready pods"), || {
        let listed = cluster.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"]);
        if listed.code != 0 {
            return Err(format!("{listed:?}"));
        }
        let json = listed.json();
        let items = json["items"].as_array().cloned().unwrap_or_default();
        let ready = items.iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        });
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let pods: Vec<Pod> = ready
            .map(|pod| Pod {
                name: text(&pod["metadata"]["name"]),
                node: text(&pod["spec"]["nodeName"]),
                address: text(&pod["status"]["podIP"]),
            })
            .collect();
        if pods.len() == count && items.len() == count { Ok(pods) } else { Err(format!("{pods:?}")) }
    })
}

/// Runs something in a pod until it succeeds.
fn in_pod(cluster: &Cluster<'_>, pod: &Pod, argv: &[&str]) -> Finished {
    let command = [&["exec", pod.name.as_str(), "--"], argv].concat();
    eventually(&format!("{argv:?} in {pod:?}"), || match cluster.kubectl(&command) {
        done if done.code == 0 => Ok(done),
        failed => Err(format!("{failed:?}")),
    })
}

/// From each node's pod: every other pod (which sees the caller's own address), the service, names.
/// After a node's restart the API tells of its pods' old addresses for a while, so each try asks anew.
fn pods_of_all_nodes_talk(cluster: &Cluster<'_>, count: usize) {
    eventually("talk between all pods", || {
        let pods = pods(cluster, count);
        for from in &pods {
            let of_pods = pods.iter().flat_map(|to| ["name", "cgi-bin/who"].map(|path| url(&to.address, 8080, path)));
            let urls = of_pods.chain(["http://web.default.svc.cluster.local/name".to_owned()]);
            let answers = get(cluster, from, &urls.collect::<Vec<_>>())?;
            let (of_service, of_pods) = answers.split_last().expect("an answer for each URL");
            let mut told = pods.iter().zip(of_pods.chunks(2));
            let right = told.all(|(to, told)| told[0] == to.name && told[1].contains(&from.address));
            if !right || pods.iter().all(|pod| pod.name != *of_service) {
                return Err(format!("{from:?} got {answers:?} of {pods:?}"));
            }
        }
        Ok(())
    });
}

fn url(address: &str, port: u16, path: &str) -> String {
    format!("http://{address}:{port}/{path}")
}

/// What a pod gets from URLs, one after the other, in one try that soon ends.
fn get(cluster: &Cluster<'_>, from: &Pod, urls: &[String]) -> Result<Vec<String>, String> {
    let script = "for url; do busybox timeout 5 wget -qO- $url || exit; done";
    let command = [
        &["exec", &from.name, "--", "sh", "-c", script, "sh"],
        &urls.iter().map(String::as_str).collect::<Vec<_>>()[..],
    ];
    let got = cluster.kubectl(&command.concat());
    let answers: Vec<String> = got.stdout.lines().map(str::to_owned).collect();
    if got.code == 0 && answers.len() == urls.len() { Ok(answers) } else { Err(format!("{from:?} got {got:?}")) }
}

fn every_node_answers_at_node_ports(cluster: &Cluster<'_>) {
    let pods = pods(cluster, 3);
    let address = |pod: &Pod| cluster.run("ip", &["-n", &pod.node]).ok().text().to_owned();
    let urls: Vec<String> = pods.iter().map(|pod| url(&address(pod), 30080, "name")).collect();
    for from in &pods {
        let names = eventually("answers at all node ports", || get(cluster, from, &urls));
        assert!(names.iter().all(|name| pods.iter().any(|pod| pod.name == *name)), "{names:?}");
    }
}

fn limits_are_what_pods_can_get(cluster: &Cluster<'_>) {
    let nodes = cluster.kubectl(&["get", "nodes", "-l", "tested=yes", "-o", "json"]).ok().json();
    let memory: Vec<_> =
        nodes["items"].as_array().into_iter().flatten().map(|node| &node["status"]["allocatable"]["memory"]).collect();
    assert_eq!(memory, ["3Gi", "3Gi", "3Gi"], "{nodes}");
}

fn lists_tell_of_all_nodes(cluster: &Cluster<'_>) {
    let list = cluster.run("node", &["list"]).ok();
    let names: Vec<&str> = list.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, [cluster.name.clone(), node(cluster, "m02"), node(cluster, "m03")]);
    let status = cluster.run("status", &["-o", "json"]).ok().json();
    let workers: Vec<_> = status.as_array().into_iter().flatten().filter(|node| node["Worker"] == true).collect();
    assert_eq!(workers.len(), 2, "{status}");
    assert!(workers.iter().all(|node| node["Kubelet"] == "Running" && node["APIServer"] == "Irrelevant"), "{status}");
    assert_eq!(cluster.run("ssh", &["-n", "m03", "--", "hostname"]).ok().text(), node(cluster, "m03"));
    let _ = cluster.run("ip", &["-n", "m09"]).code(85);
    let _ = cluster.run("node", &["delete", &cluster.name]).code(80);
}

fn the_host_has_a_name(cluster: &Cluster<'_>) {
    let format = ["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &cluster.name];
    let host = Finished::of(Command::new("docker").args(format)).ok().text().to_owned();
    assert!(!host.is_empty());
    for pod in pods(cluster, 3) {
        let known = cluster.run("ssh", &["-n", &pod.node, "--", "getent", "hosts", "host.skiff.internal"]).ok();
        assert_eq!(known.text().split_whitespace().next(), Some(host.as_str()), "{known:?}");
        let told = in_pod(cluster, &pod, &["nslookup", "-type=a", "host.skiff.internal."]);
        assert!(told.stdout.contains(&host), "{host} {told:?}");
    }
}

/// On each node in turn: the only server of a service asks for it by the service's name.
fn a_pod_reaches_itself_through_its_service(cluster: &Cluster<'_>) {
    for pod in pods(cluster, 3) {
        let mark = |word: &str| cluster.kubectl(&["label", "pod", &pod.name, word]).ok();
        let _ = mark("alone=yes");
        let url = "http://alone.default.svc.cluster.local/name".to_owned();
        let name = eventually("a pod's answer to itself", || get(cluster, &pod, std::slice::from_ref(&url)));
        assert_eq!(name, [pod.name.as_str()]);
        let _ = mark("alone-");
        eventually("a service without servers", || {
            let listed = cluster.kubectl(&["get", "endpoints", "alone", "-o", "jsonpath={.subsets}"]).ok();
            if listed.text().is_empty() { Ok(()) } else { Err(listed.text().to_owned()) }
        });
    }
}

fn a_killed_worker_comes_back(cluster: &Cluster<'_>) {
    let _ = Finished::of(Command::new("docker").args(["kill", &node(cluster, "m02")])).ok();
    let status = cluster.run("status", &["-o", "json"]).json();
    assert_eq!(status[1]["Host"], "Stopped", "{status}");
    let _ = cluster.run("start", &[]).ok();
    pods_of_all_nodes_talk(cluster, 3);
}

fn a_node_is_stopped_and_started(cluster: &Cluster<'_>) {
    let _ = cluster.run("node", &["stop", "m03"]).ok();
    let _ = cluster.run("ssh", &["-n", "m03", "--", "true"]).code(83);
    let _ = cluster.run("node", &["start", "m03"]).ok().says("Successfully started node m03");
    let _ = cluster.run("node", &["start", "m03"]).ok().says("m03 is already running");
}

fn a_node_is_added_and_deleted(cluster: &Cluster<'_>, archive: &Path) {
    let _ = cluster.run("node", &["add", "--labels", "new=yes"]).ok().says("Successfully added m04");
    let _ = cluster.run("image", &["load", &archive.to_string_lossy()]).ok();
    pods_of_all_nodes_talk(cluster, 4);
    let labelled = cluster.kubectl(&["get", "nodes", "-l", "new=yes", "-o", "name"]).ok();
    assert_eq!(labelled.text(), format!("node/{}", node(cluster, "m04")));
    let _ = cluster.run("node", &["delete", "m04"]).ok().says("Node m04 was successfully deleted.");
    assert_eq!(cluster.kubectl(&["get", "nodes", "-o", "name"]).ok().stdout.lines().count(), 3);
    let routes = eventually("the end of the route to a node that is gone", || {
        let routes = cluster.run("ssh", &["-n", "m02", "--", "ip", "route"]).ok().stdout;
        if routes.contains("10.244.3.0/24") { Err(routes) } else { Ok(routes) }
    });
    assert!(routes.contains("10.244.2.0/24"), "{routes}");
}

/// With a second control plane the cluster has an entrance, which is where kubectl is led to: whichever of
/// them goes, its file stays as it is.
fn the_first_control_plane_leaves_and_kubectl_stays_as_it_is(cluster: &Cluster<'_>) {
    let _ = cluster.run("node", &["add", "--control-plane"]).ok().says("Successfully added m04");
    let led_to = || {
        let context = format!("jsonpath={{.clusters[?(@.name==\"{}\")].cluster.server}}", cluster.name);
        cluster.kubectl(&["config", "view", "-o", &context]).ok().text().to_owned()
    };
    let server = led_to();
    let entrance = format!("{}-entrance", cluster.name);
    let bound = Finished::of(Command::new("docker").args(["port", &entrance, "8443/tcp"])).ok();
    assert_eq!(server, format!("https://{}", bound.text()));

    // Somebody stops it by hand: that is told, and mended.
    let _ = Finished::of(Command::new("docker").args(["stop", &entrance])).ok();
    cluster.has_status(4);
    let _ = cluster.run("status", &[]).says("brings it back");
    let _ = cluster.run("start", &[]).ok();
    cluster.has_status(0);

    let _ = cluster.run("node", &["delete", &cluster.name]).ok().says("was successfully deleted.");
    assert_eq!(led_to(), server);
    let named = cluster.kubectl(&["get", "nodes", "-o", "name"]).ok();
    let left: Vec<String> =
        ["m02", "m03", "m04"].iter().map(|short| format!("node/{}", node(cluster, short))).collect();
    assert_eq!(named.stdout.lines().collect::<Vec<_>>(), left);
    cluster.has_status(0);
    let _ = cluster.run("start", &[]).ok().says("nothing was changed");
}
