//! Services reached from the host: load balancers, URLs, the tunnel. No step needs a privilege.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use skiff_test::{Cluster, Running, Sandbox, eventually, free_port};

const IMAGE: &str = "skiff-test/busybox:1";
const MANIFESTS: &str = include_str!("services.yaml");

/// A cluster with the services, and a port that no other program of this host has.
struct World<'a> {
    cluster: Cluster<'a>,
    port: u16,
}

pub(crate) fn services_are_reached_from_the_host() {
    let sandbox = Sandbox::new();
    let world = World { cluster: sandbox.cluster(), port: free_port() };
    let cluster = &world.cluster;
    let _ = cluster.run("start", &[]).ok();
    let _ = cluster.run("addons", &["enable", "load-balancer"]).ok();
    let _ = cluster.load_busybox(IMAGE);
    cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE).replace("PORT", &world.port.to_string()));
    let _ = cluster.kubectl(&["wait", "pod", "--all", "--for=condition=Ready", "--timeout=600s"]).ok();
    let address = load_balancers_answer(&world);
    addresses_that_cannot_be_had_are_refused(&world);
    urls_lead_to_services(&world);
    services_are_listed(&world);
    a_cluster_ip_gets_a_port_of_this_host(&world);
    services_that_cannot_be_used_are_told(&world);
    a_tunnel_follows_the_services(&world);
    a_killed_tunnel_is_no_hindrance(&world);
    a_stop_ends_the_tunnel(&world);
    addresses_outlive_a_stop(&world, address);
}

fn load_balancers_answer(world: &World<'_>) -> SocketAddr {
    let address = SocketAddr::from((balanced(world, "default", "web"), world.port));
    assert_eq!(eventually("an answer of the load balancer", || get(address)), "hello");
    let names = balanced(world, "kube-system", "names");
    eventually("an answer over UDP", || ask_dns((names, 53).into()));
    let closed = TcpStream::connect_timeout(&(names, 1).into(), Duration::from_secs(5));
    assert_eq!(closed.map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionRefused));
    address
}

/// The address that a service was given.
fn balanced(world: &World<'_>, namespace: &str, service: &str) -> Ipv4Addr {
    let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    eventually(&format!("an address for {service}"), || {
        let told = world.cluster.kubectl(&["-n", namespace, "get", "service", service, "-o", path]).ok();
        told.text().parse().map_err(|_| format!("{told:?}"))
    })
}

fn addresses_that_cannot_be_had_are_refused(world: &World<'_>) {
    let patch = r#"{"spec": {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.7"}}"#;
    let _ = world.cluster.kubectl(&["patch", "service", "nobody", "-p", patch]).ok();
    eventually("an event", || {
        let told = world.cluster.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]).ok();
        if told.text().contains("203.0.113.7 is not one of") { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

fn urls_lead_to_services(world: &World<'_>) {
    let url = world.cluster.run("service", &["web", "--url"]).ok();
    let node = world.cluster.run("ip", &[]).ok();
    let address = url.text().strip_prefix("http://").expect("a URL").to_owned();
    assert!(address.starts_with(node.text()), "{url:?}");
    assert_eq!(eventually("an answer of the node port", || get(address.parse().expect("an address"))), "hello");
    let formatted = world.cluster.run("service", &["web", "--url", "--format", "{{.Name}} {{.IP}}"]).ok();
    assert_eq!(formatted.text(), format!("http {}", node.text()));
    let _ = world.cluster.run("service", &["web"]).ok().says("| default").says(&address);
}

fn services_are_listed(world: &World<'_>) {
    let list = world.cluster.run("service", &["list", "-n", "default", "-o", "json"]).ok().json();
    let item = |name: &str| list.as_array().into_iter().flatten().find(|item| item["Name"] == name).cloned();
    let web = item("web").expect("web in the list");
    assert_eq!(web["PortNames"][0], format!("http/{}", world.port).as_str());
    assert!(web["URLs"][0].as_str().is_some_and(|url| url.starts_with("http://")), "{web}");
    let inner = item("inner").expect("inner in the list");
    assert_eq!((&inner["PortNames"][0], inner["URLs"].as_array().map(Vec::len)), (&"No node port".into(), Some(0)));
    let _ = world.cluster.run("service", &["list"]).ok().says("NAMESPACE").says("kube-dns");
}

fn a_cluster_ip_gets_a_port_of_this_host(world: &World<'_>) {
    let mut service = Running::start(&mut world.cluster.skiff("service", &["inner", "--url"]));
    assert!(service.wrote("Ctrl-C"), "{}", service.output());
    let output = service.output();
    let url = output.lines().find_map(|line| line.strip_prefix("http://")).expect("a URL");
    assert_eq!(eventually("an answer through a forward", || get(url.parse().expect("an address"))), "hello");
    service.signal("INT");
    let _ = service.finish().ok();
}

fn services_that_cannot_be_used_are_told(world: &World<'_>) {
    let run = |args: &[&str]| world.cluster.run("service", &[args, &["--wait", "0"]].concat());
    let _ = run(&["wbe"]).code(115).says("SVC_NOT_FOUND").says("Did you mean web?");
    let _ = run(&["names"]).code(115).says("-n kube-system");
    let _ = run(&["nobody"]).code(115).says("SVC_UNREACHABLE");
    let _ = run(&[]).code(14);
}

fn a_tunnel_follows_the_services(world: &World<'_>) {
    let (cluster, port) = (&world.cluster, world.port);
    let mut tunnel = Running::start(&mut cluster.skiff("tunnel", &[]));
    let web = format!("default/web port {port} is at 127.0.0.1:{port}\n");
    assert!(tunnel.wrote(&web), "{}", tunnel.output());
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_eq!(eventually("an answer through the tunnel", || get(at(port))), "hello");
    datagrams_go_through_the_tunnel(&mut tunnel);
    let _ = cluster.run("tunnel", &[]).code(111).says("TUNNEL_ALREADY_RUNNING");
    // A port that is taken is replaced, and told.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let other = taken.local_addr().expect("its address").port();
    let added = format!(
        r#"[{{"op": "add", "path": "/spec/ports/-", "value": {{"name": "second", "port": {other}, "targetPort": 8080, "protocol": "TCP"}}}}]"#
    );
    let _ = cluster.kubectl(&["patch", "service", "web", "--type", "json", "-p", &added]).ok();
    assert!(tunnel.wrote(&format!("(not {other}: another program listens there)")), "{}", tunnel.output());
    let output = tunnel.output();
    let start = format!("default/web port {other} is at ");
    let second = output.lines().find_map(|line| line.strip_prefix(&start)?.split(' ').next()).expect("its address");
    assert_eq!(eventually("an answer at the second port", || get(second.parse().expect("an address"))), "hello");
    let removed = r#"[{"op": "remove", "path": "/spec/ports/1"}]"#;
    let _ = cluster.kubectl(&["patch", "service", "web", "--type", "json", "-p", removed]).ok();
    assert!(tunnel.wrote(&format!("default/web port {other} is gone: {second} is closed")), "{}", tunnel.output());
    assert!(TcpStream::connect(second).is_err());
    tunnel.signal("KILL");
    assert_eq!(tunnel.finish().code, 137);
}

/// Cluster DNS is at an address of the node, and asked over UDP: the API server by itself has a way to neither.
fn datagrams_go_through_the_tunnel(tunnel: &mut Running) {
    let start = "kube-system/names port 53/UDP is at ";
    assert!(tunnel.wrote(start), "{}", tunnel.output());
    let names = eventually("the whole line", || {
        let output = tunnel.output();
        let line = output.split_inclusive('\n').find_map(|line| line.strip_prefix(start)?.strip_suffix('\n'));
        let address = line.and_then(|line| line.split(' ').next()?.parse().ok());
        address.ok_or(output)
    });
    eventually("an answer over UDP through the tunnel", || ask_dns(names));
}

fn a_killed_tunnel_is_no_hindrance(world: &World<'_>) {
    let mut tunnel = Running::start(&mut world.cluster.skiff("tunnel", &["--cleanup"]));
    assert!(tunnel.wrote(&format!("default/web port {}", world.port)), "{}", tunnel.output());
    tunnel.signal("INT");
    let _ = tunnel.finish().ok();
    let locks = fs::read_dir(world.cluster.sandbox().home().join("locks")).expect("the folder of locks");
    let left: Vec<_> = locks.flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("tunnel-")), "{left:?}");
}

fn a_stop_ends_the_tunnel(world: &World<'_>) {
    let mut tunnel = Running::start(&mut world.cluster.skiff("tunnel", &[]));
    assert!(tunnel.wrote("Tunnel started"), "{}", tunnel.output());
    let _ = world.cluster.run("stop", &[]).ok();
    let _ = tunnel.finish().ok();
    let _ = world.cluster.run("tunnel", &[]).code(83).says("not running");
    let _ = world.cluster.run("service", &["list"]).code(83);
}

fn addresses_outlive_a_stop(world: &World<'_>, address: SocketAddr) {
    let _ = world.cluster.run("start", &[]).ok();
    assert_eq!(eventually("the load balancer at its old address", || get(address)), "hello");
    assert_eq!(address.ip(), balanced(world, "default", "web"));
}

/// What a plain request for `/name` brings.
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
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(answer),
    }
}

/// Asks a name server for the address of `kubernetes.default`.
fn ask_dns(server: SocketAddr) -> Result<(), String> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in "kubernetes.default.svc.cluster.local".split('.') {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let exchange = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.send_to(&question, server)?;
        let mut answer = [0; 512];
        let (length, _) = socket.recv_from(&mut answer)?;
        Ok::<_, std::io::Error>(answer[..length].to_vec())
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    if answer.ends_with(&[10, 96, 0, 1]) { Ok(()) } else { Err(format!("{answer:?}")) }
}
