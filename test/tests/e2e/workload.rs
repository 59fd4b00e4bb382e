//! Ordinary work on one cluster: pods, names, services, storage, and the ways in.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use skiff_test::{Check, Cluster, Finished, Running, Sandbox, check_all, eventually, free_port};

const IMAGE: &str = "skiff-test/busybox:1";
const MANIFESTS: &str = include_str!("workload.yaml");
/// The port of each node at which the servers answer.
pub(crate) const NODE_PORT: u16 = 30080;

/// A cluster with the workload, and the port of this host that leads to its node port.
pub(crate) struct World<'a> {
    cluster: &'a Cluster<'a>,
    port: u16,
}

impl<'a> World<'a> {
    /// Puts the workload into a cluster that was started with this port of the host for [`NODE_PORT`].
    pub(crate) fn new(cluster: &'a Cluster<'a>, port: u16) -> Self {
        let world = Self { cluster, port };
        load_the_image(&world);
        cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE));
        let _ = cluster.kubectl(&["rollout", "status", "statefulset/web", "--timeout=600s"]).ok();
        let _ = cluster.kubectl(&["wait", "pod", "--all", "--for=condition=Ready", "--timeout=600s"]).ok();
        world
    }
}

pub(crate) fn pods_work_before_and_after_a_stop() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let port = free_port();
    let _ = cluster.run("start", &["--ports", &format!("{port}:{NODE_PORT}")]).ok();
    let world = World::new(&cluster, port);
    check_all(&world, &checks());
    the_host_reaches_the_node(&world);
    write(&world, "kept");
    let _ = cluster.run("stop", &[]).ok();
    a_stopped_cluster_says_so(&world);
    let _ = cluster.run("start", &[]).ok();
    check_after_a_restart(&world);
    the_host_reaches_the_node(&world);
}

/// [`essentials`], once a cluster was stopped or killed and started again.
pub(crate) fn check_after_a_restart(world: &World<'_>) {
    pods_have_come_back(world);
    check_all(world, &essentials());
}

/// Until a kubelet has told of them, the API has the pods and addresses of before the stop.
fn pods_have_come_back(world: &World<'_>) {
    let state = "{.metadata.name} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}";
    let all = format!("jsonpath={{range .items[*]}}{state}{{\"\\n\"}}{{end}}");
    eventually("pods that run again", || {
        let told = world.cluster.kubectl(&["get", "pods", "-o", &all]);
        let back = |line: &str| line.ends_with(" true") && !line.ends_with(" 0 true");
        if told.code == 0 && told.stdout.lines().count() == 4 && told.stdout.lines().all(back) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    });
}

fn checks<'a>() -> [Check<World<'a>>; 14] {
    [
        ("names of services", names_of_services),
        ("names of pods", names_of_pods),
        ("addresses to names", addresses_lead_to_names),
        ("pods reach pods and services", pods_reach_pods_and_services),
        ("the host reaches published ports", the_host_reaches_published_ports),
        ("exec, logs and cp", exec_logs_and_cp),
        ("port-forward", port_forward),
        ("data outlives its pod", data_outlives_its_pod),
        ("accounts", every_namespace_gets_an_account),
        ("ssh and ip", ssh_and_ip),
        ("logs", logs_show_every_part),
        ("status", status_in_every_format),
        ("profile list", profile_list),
        ("update-context", update_context_repairs),
    ]
}

/// What holds in every cluster all the time, once "kept" was written.
pub(crate) fn essentials<'a>() -> [Check<World<'a>>; 6] {
    [
        ("data is still there", |world| assert_eq!(read(world), "kept")),
        ("names of services", names_of_services),
        ("names of pods", names_of_pods),
        ("pods reach pods and services", pods_reach_pods_and_services),
        ("the host reaches published ports", the_host_reaches_published_ports),
        ("images", the_image_is_listed),
    ]
}

fn load_the_image(world: &World<'_>) {
    let _ = world.cluster.load_busybox(IMAGE);
    the_image_is_listed(world);
}

fn the_image_is_listed(world: &World<'_>) {
    let listed = world.cluster.run("image", &["ls"]).ok();
    assert!(listed.stdout.lines().any(|line| line == format!("docker.io/{IMAGE}")), "{listed:?}");
    let json = world.cluster.run("image", &["ls", "--format", "json"]).ok().json();
    let tags = json.as_array().into_iter().flatten().filter_map(|image| image["repoTags"][0].as_str());
    assert!(tags.clone().any(|tag| tag.ends_with(IMAGE)), "{json}");
    assert!(tags.clone().any(|tag| tag.contains("kube-apiserver")), "{json}");
}

/// Runs something in the pod that is a client only, until it succeeds.
fn client(world: &World<'_>, argv: &[&str]) -> Finished {
    in_pod(world, "client", argv)
}

fn in_pod(world: &World<'_>, pod: &str, argv: &[&str]) -> Finished {
    let command = [&["exec", pod, "--"], argv].concat();
    eventually(&format!("{argv:?} in {pod}"), || match world.cluster.kubectl(&command) {
        done if done.code == 0 => Ok(done),
        failed => Err(format!("{failed:?}")),
    })
}

/// A field of an object, as text.
fn field(world: &World<'_>, object: &str, path: &str) -> String {
    world.cluster.kubectl(&["get", object, "-o", &format!("jsonpath={{{path}}}")]).ok().text().to_owned()
}

/// What the resolver of a pod says about a name, without the lines about the server itself.
fn look_up(world: &World<'_>, kind: &str, name: &str) -> String {
    let told = client(world, &["nslookup", &format!("-type={kind}"), name]).stdout;
    told.lines().skip(2).collect::<Vec<_>>().join("\n")
}

fn names_of_services(world: &World<'_>) {
    let address = field(world, "service/web", ".spec.clusterIP");
    assert!(look_up(world, "a", "web.default.svc.cluster.local").contains(&address));
    // The short form works through the search path.
    assert_eq!(web_name(&client(world, &["wget", "-qO-", "http://web/name"])), "web");
    let api = look_up(world, "a", "kubernetes.default.svc.cluster.local");
    assert!(api.contains("10.96.0.1"), "{api}");
    let alias = look_up(world, "cname", "elsewhere.default.svc.cluster.local");
    assert!(alias.contains("canonical name = web.default.svc.cluster.local"), "{alias}");
    assert_eq!(web_name(&client(world, &["wget", "-qO-", "http://elsewhere/name"])), "web");
    let absent = world.cluster.kubectl(&["exec", "client", "--", "nslookup", "nobody.default.svc.cluster.local"]);
    assert_ne!(absent.code, 0);
    assert!(absent.stdout.contains("NXDOMAIN"), "{absent:?}");
}

fn names_of_pods(world: &World<'_>) {
    let addresses = ["web-0", "web-1"].map(|pod| field(world, &format!("pod/{pod}"), ".status.podIP"));
    eventually("both pods behind the headless service", || {
        let headless = look_up(world, "a", "peers.default.svc.cluster.local");
        if addresses.iter().all(|address| headless.contains(address.as_str())) { Ok(()) } else { Err(headless) }
    });
    let one = look_up(world, "a", "web-0.peers.default.svc.cluster.local");
    assert!(one.contains(&addresses[0]) && !one.contains(&format!("{}\n", addresses[1])), "{one}");
    let service = look_up(world, "srv", "_http._tcp.peers.default.svc.cluster.local");
    for pod in ["web-0", "web-1"] {
        assert!(service.contains(&format!(" 8080 {pod}.peers.default.svc.cluster.local")), "{service}");
    }
    let dashed = addresses[0].replace('.', "-");
    assert!(look_up(world, "a", &format!("{dashed}.default.pod.cluster.local")).contains(&addresses[0]));
}

fn addresses_lead_to_names(world: &World<'_>) {
    let service = field(world, "service/web", ".spec.clusterIP");
    let told = client(world, &["nslookup", &service]).stdout;
    assert!(told.contains("name = web.default.svc.cluster.local"), "{told}");
    let pod = field(world, "pod/web-1", ".status.podIP");
    let told = client(world, &["nslookup", &pod]).stdout;
    assert!(told.contains("name = web-1.peers.default.svc.cluster.local"), "{told}");
}

/// The name of the pod that answered, without its number.
fn web_name(answer: &Finished) -> &str {
    answer.text().split('-').next().unwrap_or_default()
}

fn pods_reach_pods_and_services(world: &World<'_>) {
    for pod in ["web-0", "web-1"] {
        let address = field(world, &format!("pod/{pod}"), ".status.podIP");
        assert_eq!(client(world, &["wget", "-qO-", &format!("http://{address}:8080/name")]).text(), pod);
    }
    let service = field(world, "service/web", ".spec.clusterIP");
    assert_eq!(web_name(&client(world, &["wget", "-qO-", &format!("http://{service}/name")])), "web");
    // A pod reaches itself through a service that leads to nobody else.
    assert_eq!(in_pod(world, "web-0", &["wget", "-qO-", "http://mirror/name"]).text(), "web-0");
}

fn the_host_reaches_the_node(world: &World<'_>) {
    let node: Ipv4Addr = world.cluster.run("ip", &[]).ok().text().parse().expect("an address");
    a_server_answers((node, NODE_PORT).into());
}

fn the_host_reaches_published_ports(world: &World<'_>) {
    a_server_answers((Ipv4Addr::LOCALHOST, world.port).into());
}

pub(crate) fn a_server_answers(address: SocketAddr) {
    let answer = eventually(&format!("an answer from {address}"), || get(address));
    assert!(answer.contains("\nweb-"), "{answer}");
}

/// A plain request for the pod's name.
fn get(address: SocketAddr) -> Result<String, String> {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    if answer.contains(" 200 ") { Ok(answer) } else { Err(answer) }
}

fn exec_logs_and_cp(world: &World<'_>) {
    let cluster = &world.cluster;
    assert_eq!(cluster.kubectl(&["exec", "client", "--", "echo", "one two"]).ok().text(), "one two");
    assert_eq!(cluster.kubectl(&["exec", "client", "--", "sh", "-c", "exit 7"]).code, 7);
    let _ = cluster.kubectl(&["logs", "web-0"]).ok().says("serving");
    let there = cluster.sandbox().path().join("there");
    let back = cluster.sandbox().path().join("back");
    fs::write(&there, "through the pod").expect("a file");
    let _ = cluster.kubectl(&["cp", &there.to_string_lossy(), "client:/tmp/file"]).ok();
    let _ = cluster.kubectl(&["cp", "client:/tmp/file", &back.to_string_lossy()]).ok();
    assert_eq!(fs::read_to_string(back).expect("a file that came back"), "through the pod");
}

fn port_forward(world: &World<'_>) {
    let mut forward = Running::start(&mut world.cluster.kubectl_command(&["port-forward", "pod/web-1", ":8080"]));
    assert!(forward.wrote(" -> 8080"), "{}", forward.output());
    let output = forward.output();
    let port = output.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    let port: u16 = port.unwrap_or_else(|| panic!("no port in {output}"));
    let answer = eventually("an answer through port-forward", || get((Ipv4Addr::LOCALHOST, port).into()));
    assert!(answer.ends_with("web-1\n"), "{answer}");
}

/// Writes into a volume.
pub(crate) fn write(world: &World<'_>, text: &str) {
    let _ = in_pod(world, "keeper", &["sh", "-c", &format!("echo {text} >/data/file")]);
}

fn read(world: &World<'_>) -> String {
    in_pod(world, "keeper", &["cat", "/data/file"]).text().to_owned()
}

fn data_outlives_its_pod(world: &World<'_>) {
    write(world, "outlives");
    let _ = world.cluster.kubectl(&["delete", "pod", "keeper"]).ok();
    world.cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE));
    let _ = world.cluster.kubectl(&["wait", "pod/keeper", "--for=condition=Ready", "--timeout=600s"]).ok();
    assert_eq!(read(world), "outlives");
}

fn every_namespace_gets_an_account(world: &World<'_>) {
    let _ = world.cluster.kubectl(&["get", "serviceaccount", "default"]).ok();
    let _ = world.cluster.kubectl(&["create", "namespace", "other"]).ok();
    eventually("the account of a new namespace", || {
        match world.cluster.kubectl(&["get", "serviceaccount", "default", "--namespace", "other"]) {
            done if done.code == 0 => Ok(()),
            failed => Err(failed.stderr),
        }
    });
}

fn ssh_and_ip(world: &World<'_>) {
    let cluster = &world.cluster;
    assert_eq!(cluster.run("ssh", &["--", "hostname"]).ok().text(), cluster.name);
    assert_eq!(cluster.run("ssh", &["--", "exit 7"]).code, 7);
    assert_eq!(cluster.run("ip", &[]).ok().text(), field(world, "node", ".items[0].status.addresses[0].address"));
    let key = cluster.run("ssh-key", &[]).ok();
    let _ = Finished::of(Command::new("ssh-keygen").args(["-y", "-f", key.text()])).ok();
}

fn logs_show_every_part(world: &World<'_>) {
    let logs = world.cluster.run("logs", &[]).ok();
    for part in ["kubelet", "kube-apiserver", "etcd", "skiff-dns"] {
        assert!(logs.stdout.contains(part), "{part} is missing in {logs:?}");
    }
}

fn status_in_every_format(world: &World<'_>) {
    let cluster = &world.cluster;
    cluster.has_status(0);
    let text = cluster.run("status", &[]).ok();
    let _ = text.says("type: Control Plane").says("host: Running").says("kubelet: Running").says("apiserver: Running");
    let node = cluster.run("status", &["-o", "json"]).ok().json();
    assert_eq!((&node["Name"], &node["Host"]), (&cluster.name.as_str().into(), &"Running".into()));
    assert_eq!(cluster.run("status", &["-f", "{{.Host}}/{{.APIServer}}"]).ok().text(), "Running/Running");
    let _ = cluster.run("status", &["-l", "cluster"]).ok().says(": OK");
    let layout = cluster.run("status", &["-l", "cluster", "-o", "json"]).ok().json();
    assert_eq!(layout["StatusCode"], 200, "{layout}");
}

fn a_stopped_cluster_says_so(world: &World<'_>) {
    let stopped = world.cluster.run("status", &["-o", "json"]);
    assert_eq!(stopped.code & 3, 3, "{stopped:?}");
    assert_eq!(stopped.json()["Host"], "Stopped");
    assert_eq!(world.cluster.run("ip", &[]).code, 83);
    let _ = world.cluster.run("stop", &[]).ok().says("0 nodes stopped");
}

fn profile_list(world: &World<'_>) {
    let sandbox = world.cluster.sandbox();
    let _ = sandbox.run(&["profile", "list"]).ok().says(&world.cluster.name);
    let list = sandbox.run(&["profile", "list", "-o", "json"]).ok().json();
    assert_eq!(list["valid"][0]["Name"], world.cluster.name.as_str(), "{list}");
    assert_eq!(list["invalid"].as_array().map(Vec::len), Some(0), "{list}");
}

fn update_context_repairs(world: &World<'_>) {
    // A kubeconfig of its own: the other checks use the sandbox's meanwhile.
    let own = world.cluster.sandbox().path().join("other-kubeconfig");
    let run = |verb: &str| Finished::of(world.cluster.skiff(verb, &[]).env("KUBECONFIG", &own));
    assert_eq!(run("status").code, 4, "the kubeconfig does not lead to the cluster");
    let _ = run("update-context").ok();
    let _ = run("status").ok();
    let mut kubectl = world.cluster.kubectl_command(&["config", "current-context"]);
    assert_eq!(Finished::of(kubectl.env("KUBECONFIG", &own)).ok().text(), world.cluster.name);
}
