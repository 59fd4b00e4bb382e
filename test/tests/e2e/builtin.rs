//! Addons that need nothing but the node image: measurements, a registry, names of Ingresses.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use skiff_test::{Check, Cluster, Finished, Sandbox, busybox_archive, check_all, eventually, free_port};

const MANIFESTS: &str = include_str!("builtin.yaml");
const ADDONS: [&str; 3] = ["metrics-server", "registry", "ingress-dns"];
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
const PATIENCE: Duration = Duration::from_secs(5);

/// A cluster with the addons.
struct World<'a> {
    cluster: Cluster<'a>,
    node: Ipv4Addr,
    /// The port of this host that leads to the registry.
    port: u16,
}

pub(crate) fn addons_work_without_pulling_anything() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let port = free_port();
    let _ = cluster.run("start", &["--ports", &format!("{port}:5000")]).ok();
    for addon in ADDONS {
        let _ = cluster.run("addons", &["enable", addon]).ok();
    }
    let node = cluster.run("ip", &[]).ok().text().parse().expect("an address");
    let world = World { cluster, node, port };
    // Enabled means that it works: no waiting.
    let _ = world.cluster.kubectl(&["top", "nodes"]).ok().says(&world.cluster.name);
    push(&world);
    world.cluster.apply(MANIFESTS);
    let _ = world.cluster.kubectl(&["wait", "pod", "--all", "--for=condition=Ready", "--timeout=600s"]).ok();
    check_all(&world, &checks());
    deleting_is_allowed(&world);
    for addon in ADDONS {
        let _ = world.cluster.run("addons", &["disable", addon]).ok();
    }
    nothing_is_left(&world);
}

fn checks<'a>() -> [Check<World<'a>>; 6] {
    [
        ("measurements", measurements),
        ("selectors", measurements_can_be_selected),
        ("autoscaling", a_busy_deployment_is_scaled),
        ("the registry's names", the_registry_is_the_same_from_everywhere),
        ("names of Ingresses", the_host_can_resolve_ingresses),
        ("memory", roles_are_small),
    ]
}

/// Pushes as people do, with the Docker of the host.
fn push(world: &World<'_>) {
    let image = format!("localhost:{}/team/busybox:1", world.port);
    let archive = busybox_archive(world.cluster.sandbox().path(), &image);
    let docker = |args: &[&str]| Finished::of(Command::new("docker").args(args));
    let _ = docker(&["load", "--quiet", "--input", &archive.to_string_lossy()]).ok();
    let pushed = docker(&["push", "--quiet", &image]);
    let _ = docker(&["image", "rm", "--force", &image]).ok();
    let _ = pushed.ok();
}

fn measurements(world: &World<'_>) {
    let cluster = &world.cluster;
    let node = cluster.kubectl(&["get", "--raw", &format!("{METRICS}/nodes/{}", cluster.name)]).ok().json();
    assert!(node["usage"]["memory"].as_str().is_some_and(|text| text.ends_with("Ki")), "{node}");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/os"], "linux", "{node}");
    eventually("a busy pod in `kubectl top pods`", || {
        let told = cluster.kubectl(&["top", "pods", "--no-headers", "-l", "app=busy"]);
        // Lines such as `busy-5d9c 98m 1Mi`.
        let busy = told.stdout.split_whitespace().nth(1).and_then(|text| text.strip_suffix('m')?.parse::<u32>().ok());
        if busy.is_some_and(|milli| milli >= 50) { Ok(()) } else { Err(format!("{told:?}")) }
    });
    let _ = cluster.kubectl(&["get", "nodes.metrics.k8s.io"]).ok().says("WINDOW");
    let absent = cluster.kubectl(&["top", "pod", "nobody"]);
    assert_eq!(absent.code, 1, "{absent:?}");
}

fn measurements_can_be_selected(world: &World<'_>) {
    let names = |query: &str| {
        let path = format!("{METRICS}/namespaces/kube-system/pods?{query}");
        let list = world.cluster.kubectl(&["get", "--raw", &path]).ok().json();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["metadata"]["name"].to_string()).collect::<Vec<_>>()
    };
    eventually("measurements of the registry", || {
        match names("labelSelector=app.kubernetes.io%2Fname%3Dskiff-registry") {
            one if one.len() == 1 && one[0].contains("skiff-registry") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(names("fieldSelector=status.phase%3DFailed"), Vec::<String>::new());
    let path = format!("{METRICS}/pods?labelSelector=%3D%3D");
    let _ = world.cluster.kubectl(&["get", "--raw", &path]).code(1).says("found '=='");
}

fn a_busy_deployment_is_scaled(world: &World<'_>) {
    eventually("a second replica", || {
        let told = world.cluster.kubectl(&["get", "hpa", "busy", "-o", "jsonpath={.status.desiredReplicas}"]);
        if told.text() == "2" {
            return Ok(());
        }
        Err(world.cluster.kubectl(&["describe", "hpa", "busy"]).stdout)
    });
}

fn the_registry_is_the_same_from_everywhere(world: &World<'_>) {
    for address in [SocketAddr::from((world.node, 5000)), SocketAddr::from((Ipv4Addr::LOCALHOST, world.port))] {
        let tags = request(address, "GET", "/v2/team/busybox/tags/list", "");
        assert!(tags.contains(r#""tags":["1"]"#), "{address}: {tags}");
    }
    let url = "http://registry.kube-system.svc.cluster.local/v2/_catalog";
    let _ = world.cluster.kubectl(&["exec", "client", "--", "wget", "-qO-", url]).ok().says("team/busybox");
}

fn deleting_is_allowed(world: &World<'_>) {
    let address = SocketAddr::from((world.node, 5000));
    let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json\r\n";
    let head = request(address, "HEAD", "/v2/team/busybox/manifests/1", accept);
    let digest = head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: ")).expect("a digest").trim();
    let deleted = request(address, "DELETE", &format!("/v2/team/busybox/manifests/{digest}"), "");
    assert!(deleted.starts_with("HTTP/1.1 202 "), "{deleted}");
    let gone = request(address, "HEAD", "/v2/team/busybox/manifests/1", accept);
    assert!(gone.starts_with("HTTP/1.1 404 "), "{gone}");
}

/// A request without a body, and the whole answer.
fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    eventually(&format!("an answer from {address}"), || {
        let exchange = || {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        exchange().map_err(|error: std::io::Error| error.to_string())
    })
}

fn the_host_can_resolve_ingresses(world: &World<'_>) {
    let resolve = |name: &str| eventually(&format!("an answer about {name}"), || resolve(world.node, name));
    assert_eq!(resolve("anything.test"), (0, Some(world.node)));
    eventually("the Ingress' host", || match resolve("shop.example.com") {
        (0, Some(address)) if address == world.node => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(resolve("elsewhere.example.com"), (5, None), "other names are refused");
}

/// Asks a name server for the address of a name: the code of its answer, and the address.
fn resolve(server: Ipv4Addr, name: &str) -> Result<(u8, Option<Ipv4Addr>), String> {
    let mut question = vec![0x5a, 0xa5, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let exchange = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let _ = socket.send_to(&question, (server, 53))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(answer[..length].to_vec())
    };
    let answer = exchange().map_err(|error: std::io::Error| error.to_string())?;
    // With one answer and nothing after it, its address is what the message ends with.
    let address = (answer[7] == 1).then(|| answer.last_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes))).flatten();
    Ok((answer[3] & 15, address))
}

/// Each role by itself, at rest.
fn roles_are_small(world: &World<'_>) {
    let script = "for p in $(pgrep skiff-agent); do \
                  echo $(tr '\\0' ' ' </proc/$p/cmdline | cut -c1-60) $(grep VmRSS /proc/$p/status); done";
    let told = world.cluster.run("ssh", &["--", script]).ok();
    for role in ["metrics-server", "ingress-dns", "forward"] {
        let line =
            told.stdout.lines().find(|line| line.contains(role)).unwrap_or_else(|| panic!("no {role}: {told:?}"));
        let kilobytes: u64 = line.split_whitespace().rev().nth(1).and_then(|word| word.parse().ok()).expect("a size");
        assert!(kilobytes <= 25 << 10, "{line}");
    }
}

fn nothing_is_left(world: &World<'_>) {
    let kinds = "all,serviceaccounts,persistentvolumeclaims,apiservices,clusterroles,clusterrolebindings,rolebindings";
    for addon in ADDONS {
        eventually(&format!("nothing left of {addon}"), || {
            let label = format!("skiff.dev/addon={addon}");
            let left = world.cluster.kubectl(&["get", kinds, "-A", "-l", &label, "-o", "name"]);
            if left.code == 0 && left.stdout.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
    assert_eq!(world.cluster.kubectl(&["top", "nodes"]).code, 1);
}
