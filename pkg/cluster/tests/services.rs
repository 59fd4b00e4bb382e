//! Reaching services over fakes.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use skiff_cluster::{
    ClusterError, PauseScope, ServiceError, ServiceQuery, TunnelOptions, Way, cluster_away, find_services,
    list_services, pause, start, stop, tunnel,
};
use skiff_driver::Driver as _;
use skiff_kubeapi::{Backend, ServiceInfo, ServicePort};
use skiff_report::{Diagnose as _, Event, Reporter};
use skiff_store::TunnelTrace;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{sleep, timeout},
};

use world::{World, name, request, started};

/// A world whose host does not reach the nodes.
async fn far() -> World {
    let mut world = started().await;
    let mut capabilities = world.host.driver.check().await.unwrap();
    capabilities.routable_nodes = false;
    world.host.capabilities = Some(capabilities);
    world
}

fn service(name: &str, kind: &str, port: u16, node_port: Option<u16>) -> ServiceInfo {
    let port = ServicePort { port, node_port, protocol: "TCP".to_owned(), ..ServicePort::default() };
    ServiceInfo {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        ports: vec![port],
        ..ServiceInfo::default()
    }
}

fn set(world: &World, services: &[ServiceInfo]) {
    *world.host.api.services.lock().unwrap() = services.to_vec();
}

fn pod(name: &str, ready: bool) -> Backend {
    Backend {
        port_name: None,
        namespace: "default".to_owned(),
        pod: Some(name.to_owned()),
        address: None,
        port: 8080,
        ready,
    }
}

fn pods(world: &World, pods: &[Backend]) {
    *world.host.api.backends.lock().unwrap() = pods.to_vec();
}

fn query(names: &[&str]) -> ServiceQuery {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ServiceQuery { namespace: "default".to_owned(), names, wait: Duration::ZERO, interval: Duration::from_secs(1) }
}

fn service_error<T: std::fmt::Debug>(result: Result<T, ClusterError>) -> ServiceError {
    match result.unwrap_err() {
        ClusterError::Service(error) => *error,
        other => panic!("{other:?}"),
    }
}

/// A port that is free now.
async fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

async fn read_from(address: impl Into<SocketAddr>) -> Option<String> {
    let mut stream = TcpStream::connect(address.into()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Asks until the answer is yes.
async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if ask().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

fn said(world: &World, text: &str) -> bool {
    world.events().iter().any(|event| match event {
        Event::Info(line) | Event::Warning(line) => line.contains(text),
        _ => false,
    })
}

/// Runs a tunnel beside `check`, and ends it after that.
async fn with_tunnel(world: &World, check: impl AsyncFnOnce()) -> Result<(), ClusterError> {
    let (end, ended) = oneshot::channel::<()>();
    let options = TunnelOptions { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), cleanup: true };
    let stop = async {
        let _ = ended.await;
    };
    let name = name();
    let running = tunnel(&world.host, &name, options, stop);
    let beside = async {
        eventually("the tunnel's start", async || said(world, "Tunnel started")).await;
        check().await;
        drop(end);
    };
    tokio::join!(running, beside).0
}

#[tokio::test]
async fn a_tunnel_follows_the_services_and_cleans_up() {
    let (world, first, second) = (far().await, free_port().await, free_port().await);
    set(&world, &[service("web", "LoadBalancer", first, None), service("inner", "ClusterIP", 80, None)]);
    pods(&world, &[pod("web-0", true)]);
    let addresses = || world.host.api.services.lock().unwrap()[0].addresses.clone();
    with_tunnel(&world, async || {
        eventually("a connection", async || read_from(local(first)).await.as_deref() == Some("this is web-0")).await;
        eventually("an address", async || addresses() == ["127.0.0.1"]).await;
        set(&world, &[service("web", "LoadBalancer", second, None)]);
        eventually("the new port", async || read_from(local(second)).await.is_some()).await;
        assert!(read_from(local(first)).await.is_none(), "the old port is closed");
    })
    .await
    .unwrap();
    assert!(read_from(local(second)).await.is_none());
    assert!(addresses().is_empty());
    assert_eq!(world.host.store.tunnel(&name()), TunnelTrace::None);
}

#[tokio::test]
async fn services_that_the_host_reaches_keep_their_addresses() {
    let (world, port) = (started().await, free_port().await);
    let mut web = service("web", "LoadBalancer", port, None);
    web.addresses = vec!["192.0.2.200".to_owned()];
    set(&world, &[web]);
    pods(&world, &[pod("web-0", true)]);
    with_tunnel(&world, async || {
        eventually("a connection", async || read_from(local(port)).await.is_some()).await;
    })
    .await
    .unwrap();
    assert_eq!(world.host.api.services.lock().unwrap()[0].addresses, ["192.0.2.200"]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_replaced_and_told() {
    let world = far().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    set(&world, &[service("web", "LoadBalancer", port, None)]);
    let told = format!("(not {port}: another program listens there)");
    with_tunnel(&world, async || eventually("another port", async || said(&world, &told)).await).await.unwrap();
}

#[tokio::test]
async fn two_services_of_one_port_are_both_brought_here() {
    let (world, port) = (far().await, free_port().await);
    set(&world, &[service("a", "LoadBalancer", port, None), service("b", "LoadBalancer", port, None)]);
    let told = format!("(not {port}: default/a is there)");
    with_tunnel(&world, async || eventually("another port", async || said(&world, &told)).await).await.unwrap();
}

#[tokio::test]
async fn a_second_tunnel_is_refused() {
    let world = far().await;
    with_tunnel(&world, async || {
        let options = TunnelOptions { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), cleanup: true };
        let second = tunnel(&world.host, &name(), options, std::future::pending()).await;
        assert_eq!(service_error(second).reason().exit.0, 111);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_a_killed_tunnel_left_is_cleared_by_the_next_one_and_by_a_stop() {
    for by_stop in [false, true] {
        let world = far().await;
        let mut left = service("web", "NodePort", 80, Some(30080));
        left.addresses = vec!["127.0.0.1".to_owned()];
        set(&world, &[left]);
        std::fs::write(world.host.store.home().join("locks/tunnel-dev"), "pid: 1\n").unwrap();
        if by_stop {
            stop(&world.host, &name(), false).await.unwrap();
        } else {
            with_tunnel(&world, async || {}).await.unwrap();
        }
        assert!(world.host.api.services.lock().unwrap()[0].addresses.is_empty());
        assert_eq!(world.host.store.tunnel(&name()), TunnelTrace::None);
    }
}

#[tokio::test]
async fn a_stopped_or_paused_cluster_has_no_tunnel() {
    let world = started().await;
    let options = || TunnelOptions { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), cleanup: true };
    let name = name();
    let begin = || tunnel(&world.host, &name, options(), std::future::pending());
    pause(&world.host, &name, PauseScope::Machines).await.unwrap();
    assert!(matches!(begin().await, Err(ClusterError::Paused(_))));
    stop(&world.host, &name, false).await.unwrap();
    assert!(matches!(begin().await, Err(ClusterError::NotRunning(_))));
    assert_eq!(world.host.store.tunnel(&name), TunnelTrace::None);
    let strange = TunnelOptions { bind: "192.0.2.1".parse().unwrap(), cleanup: true };
    start(&world.host, &world.images, request()).await.unwrap();
    let strange = tunnel(&world.host, &name, strange, std::future::pending()).await;
    assert_eq!(service_error(strange).reason().exit.0, 14);
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_to_a_cluster_hears_when_it_is_away() {
    let world = started().await;
    let name = name();
    let away = async || timeout(Duration::from_mins(1), cluster_away(&world.host, &name)).await;
    assert!(away().await.is_err());
    pause(&world.host, &name, PauseScope::Machines).await.unwrap();
    assert!(matches!(away().await, Ok(ClusterError::Paused(_))));
    stop(&world.host, &name, false).await.unwrap();
    assert!(matches!(away().await, Ok(ClusterError::NotRunning(_))));
}

#[tokio::test]
async fn services_are_found_with_the_way_to_each_port() {
    let world = started().await;
    set(&world, &[service("node", "NodePort", 80, Some(30080)), service("web", "ClusterIP", 80, None)]);
    pods(&world, &[pod("web-0", true)]);
    let found = find_services(&world.host, &name(), &query(&["node", "web"])).await.unwrap();
    let address = world.host.store.load(&name()).unwrap().unwrap().status.nodes[0].address;
    let node = SocketAddr::from((address, 30080));
    assert_eq!(found[0].endpoints[0].way, Way::Direct(node));
    assert_eq!(found[1].endpoints[0].way, Way::Forward);
    let reporter = Arc::clone(&world.host.reporter) as Arc<dyn Reporter>;
    let forward = found[1].forward(&found[1].endpoints[0].port, reporter).await.unwrap().unwrap();
    assert_eq!(read_from(forward.local).await.as_deref(), Some("this is web-0"));
    assert_eq!(list_services(&world.host, &name(), None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_service_that_cannot_be_used_is_told_with_the_reason() {
    let world = started().await;
    set(&world, &[service("web", "NodePort", 80, Some(30080))]);
    let find = |names: &[&str]| {
        let query = query(names);
        let world = &world;
        async move { service_error(find_services(&world.host, &name(), &query).await.map(|found| found.len())) }
    };
    let absent = find(&["wbe"]).await;
    assert!(matches!(&absent, ServiceError::NotFound { nearest, .. } if *nearest == ["web"]), "{absent:?}");
    assert!(find(&["web"]).await.to_string().ends_with("no running pod stands behind it"));
    pods(&world, &[pod("web-0", false)]);
    let unready = find(&["web"]).await;
    assert!(unready.to_string().ends_with("its pod web-0 is not ready"));
    assert_eq!((unready.reason().id, unready.reason().exit.0), ("SVC_UNREACHABLE", 115));
}

#[tokio::test]
async fn a_service_may_take_its_time() {
    let world = started().await;
    set(&world, &[service("web", "NodePort", 80, Some(30080))]);
    let patient = ServiceQuery { wait: Duration::from_secs(20), interval: Duration::from_millis(1), ..query(&["web"]) };
    let later = async {
        sleep(Duration::from_millis(150)).await;
        pods(&world, &[pod("web-0", true)]);
    };
    let name = name();
    let (found, ()) = tokio::join!(find_services(&world.host, &name, &patient), later);
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_carries_datagrams() {
    let world = far().await;
    let port = free_port().await;
    let mut names = service("names", "LoadBalancer", port, None);
    names.cluster_ip = Some("10.96.0.10".to_owned());
    names.ports[0].protocol = "UDP".to_owned();
    set(&world, &[names]);
    let (end, ended) = oneshot::channel::<()>();
    let options = TunnelOptions { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), cleanup: true };
    let cluster = name();
    let running = tunnel(&world.host, &cluster, options, async { drop(ended.await) });
    let asking = async {
        let client = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        eventually("an echo", async || {
            let _ = client.send_to(b"is anybody there?", local(port)).await;
            let mut buffer = [0; 32];
            let answer = tokio::time::timeout(Duration::from_millis(200), client.recv(&mut buffer)).await;
            matches!(answer, Ok(Ok(length)) if &buffer[..length] == b"is anybody there?")
        })
        .await;
        end.send(()).unwrap();
    };
    let (result, ()) = tokio::join!(running, asking);
    result.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_a_nodes_own_address_is_reached_there() {
    let world = far().await;
    let node = world.host.store.load(&name()).unwrap().unwrap().status.nodes[0].address;
    set(&world, &[service("inner", "ClusterIP", 80, None)]);
    let by_hand = Backend { pod: None, address: Some([192, 0, 2, 9].into()), ..pod("-", true) };
    let on_node = Backend { address: Some(node.into()), ..pod("host", true) };
    let inside = Backend { address: Some([10, 244, 0, 7].into()), ..pod("inside", true) };
    for (backend, expected) in [
        (by_hand, "this is 192.0.2.9:8080".to_owned()),
        (on_node, format!("this is {node}:8080")),
        (inside, "this is inside".to_owned()),
    ] {
        pods(&world, std::slice::from_ref(&backend));
        let found = find_services(&world.host, &name(), &query(&["inner"])).await.unwrap().remove(0);
        let forward = found.forward(&found.endpoints[0].port, Arc::clone(&world.host.reporter)).await.unwrap().unwrap();
        assert_eq!(read_from(forward.local).await, Some(expected), "{backend:?}");
    }
}
