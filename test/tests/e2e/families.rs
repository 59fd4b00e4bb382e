//! One cluster of two nodes that speaks IPv4 and IPv6: whatever is reached by the one is reached by the other.

use std::path::Path;

use serde_json::Value;
use skiff_test::{Cluster, Sandbox, check_all, eventually};

const IMAGE: &str = "skiff-test/busybox:1";
const MANIFESTS: &str = include_str!("families.yaml");

/// A pod or a node, with its address of each family.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Party {
    name: String,
    node: String,
    addresses: [String; 2],
}

pub(crate) fn what_is_reached_by_ipv4_is_reached_by_ipv6() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    if !Path::new("/proc/sys/net/ipv6").exists() {
        let _ = cluster.run("start", &["--ip-family", "dual"]).code(38).says("ipv6.disable=1");
        return;
    }
    let _ = cluster.run("start", &["--nodes", "2", "--ip-family", "dual"]).ok();
    let _ = cluster.load_busybox(IMAGE);
    cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE));
    check_all(
        &cluster,
        &[
            ("pods", pods_reach_pods),
            ("services", pods_reach_services_and_node_ports),
            ("names", names_have_addresses_of_both),
            ("itself", a_pod_reaches_itself_through_its_service),
            ("outside", what_leaves_the_pods_network_is_the_nodes),
        ],
    );
    let _ = cluster.run("stop", &[]).ok();
    // What it was made with stays, whatever is asked later.
    let _ = cluster.run("start", &["--ip-family", "ipv4"]).ok().says("the cluster was made with dual");
    assert!(cluster.run("get", &["-o", "yaml"]).ok().stdout.contains("ipFamily: dual"));
    pods_reach_pods(&cluster);
    pods_reach_services_and_node_ports(&cluster);
}

fn pods_reach_pods(cluster: &Cluster<'_>) {
    eventually("talk between all pods", || {
        let pods = pods(cluster)?;
        for (from, to) in pods.iter().flat_map(|from| pods.iter().map(move |to| (from, to))) {
            for (own, address) in from.addresses.iter().zip(&to.addresses) {
                let urls = ["name", "cgi-bin/who"].map(|path| url(address, 18080, path));
                let answers = get(cluster, from, &urls)?;
                if answers[0] != to.name || !answers[1].contains(own) {
                    return Err(format!("{from:?} got {answers:?} of {to:?}"));
                }
            }
        }
        Ok(())
    });
}

fn pods_reach_services_and_node_ports(cluster: &Cluster<'_>) {
    eventually("answers of services", || {
        let (pods, nodes) = (pods(cluster)?, nodes(cluster)?);
        let services = ["web", "six"].into_iter().map(|name| service(cluster, name)).collect::<Result<Vec<_>, _>>()?;
        assert_eq!((services[0].len(), services[1].len()), (2, 1), "{services:?}");
        assert!(services[1][0].contains(':'), "{services:?}");
        let of_services = services.iter().flatten().map(|address| url(address, 80, "name"));
        let of_nodes = nodes.iter().flat_map(|node| &node.addresses).map(|address| url(address, 30080, "name"));
        let urls: Vec<String> = of_services.chain(of_nodes).collect();
        for from in &pods {
            let answers = get(cluster, from, &urls)?;
            if answers.iter().any(|answer| pods.iter().all(|pod| pod.name != *answer)) {
                return Err(format!("{from:?} got {answers:?}"));
            }
        }
        Ok(())
    });
}

fn names_have_addresses_of_both(cluster: &Cluster<'_>) {
    eventually("names and addresses", || {
        for pod in pods(cluster)? {
            let looked_up = |what: &[&str]| {
                let done = cluster.kubectl(&[&["exec", &pod.name, "--", "nslookup"], what].concat());
                if done.code == 0 { Ok(done.stdout) } else { Err(format!("{done:?}")) }
            };
            let addresses = service(cluster, "web")?;
            for (kind, address) in ["-type=a", "-type=aaaa"].into_iter().zip(&addresses) {
                let told = looked_up(&[kind, "web.default.svc.cluster.local."])?;
                let back = looked_up(&[address])?;
                if !told.contains(address) || !back.contains("web.default.svc.cluster.local") {
                    return Err(format!("{addresses:?}: {told} {back}"));
                }
            }
        }
        Ok(())
    });
}

/// On each node in turn: the only server of a service asks for it.
fn a_pod_reaches_itself_through_its_service(cluster: &Cluster<'_>) {
    for pod in eventually("pods", || pods(cluster)) {
        let mark = |word: &str| cluster.kubectl(&["label", "pod", &pod.name, word]).ok();
        let _ = mark("alone=yes");
        eventually("a pod's answer to itself", || {
            let urls: Vec<String> = service(cluster, "alone")?.iter().map(|address| url(address, 80, "name")).collect();
            let answers = get(cluster, &pod, &urls)?;
            if answers == [pod.name.as_str(); 2] { Ok(()) } else { Err(format!("{answers:?} for {pod:?}")) }
        });
        let _ = mark("alone-");
        eventually("a service without servers", || {
            let listed = cluster.kubectl(&["get", "endpoints", "alone", "-o", "jsonpath={.subsets}"]).ok();
            if listed.text().is_empty() { Ok(()) } else { Err(listed.text().to_owned()) }
        });
    }
}

/// Nobody outside knows the way back to a pod.
fn what_leaves_the_pods_network_is_the_nodes(cluster: &Cluster<'_>) {
    eventually("calls from outside of the pods' network", || {
        let nodes = nodes(cluster)?;
        for from in pods(cluster)? {
            let (own, others): (Vec<&Party>, Vec<&Party>) = nodes.iter().partition(|node| node.name == from.node);
            for (own, other) in own[0].addresses.iter().zip(&others[0].addresses) {
                let answers = get(cluster, &from, &[url(other, 18081, "cgi-bin/who")])?;
                if !answers[0].contains(own) {
                    return Err(format!("{other} saw {answers:?} for {from:?}"));
                }
            }
        }
        Ok(())
    });
}

/// The servers' pods, once there is a ready one on each node.
fn pods(cluster: &Cluster<'_>) -> Result<Vec<Party>, String> {
    let pods = list(cluster, &["pods", "-l", "app=web"])?;
    let ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let found = pods.iter().filter(ready).filter_map(|pod| {
        let ips = pod["status"]["podIPs"].as_array()?.iter().map(|ip| text(&ip["ip"]));
        party(pod, text(&pod["spec"]["nodeName"]), ips)
    });
    two(found.collect(), &pods)
}

fn nodes(cluster: &Cluster<'_>) -> Result<Vec<Party>, String> {
    let nodes = list(cluster, &["nodes"])?;
    let found = nodes.iter().filter_map(|node| {
        let addresses = node["status"]["addresses"].as_array()?.iter();
        let internal = addresses.filter(|address| address["type"] == "InternalIP");
        party(node, text(&node["metadata"]["name"]), internal.map(|address| text(&address["address"])))
    });
    two(found.collect(), &nodes)
}

fn party(object: &Value, node: String, addresses: impl Iterator<Item = String>) -> Option<Party> {
    let addresses: [String; 2] = addresses.collect::<Vec<_>>().try_into().ok()?;
    let in_order = !addresses[0].contains(':') && addresses[1].contains(':');
    in_order.then(|| Party { name: text(&object["metadata"]["name"]), node, addresses })
}

fn two(found: Vec<Party>, listed: &[Value]) -> Result<Vec<Party>, String> {
    if found.len() == 2 && listed.len() == 2 { Ok(found) } else { Err(format!("{found:?} of {listed:?}")) }
}

/// A service's addresses, in the order of its families.
fn service(cluster: &Cluster<'_>, name: &str) -> Result<Vec<String>, String> {
    let format = "jsonpath={.spec.clusterIPs[*]}";
    let told = cluster.kubectl(&["get", "service", name, "-o", format]);
    let addresses = told.stdout.split_whitespace().map(str::to_owned).collect();
    if told.code == 0 { Ok(addresses) } else { Err(format!("{told:?}")) }
}

fn list(cluster: &Cluster<'_>, what: &[&str]) -> Result<Vec<Value>, String> {
    let listed = cluster.kubectl(&[&["get"], what, &["-o", "json"]].concat());
    if listed.code != 0 {
        return Err(format!("{listed:?}"));
    }
    Ok(listed.json()["items"].as_array().cloned().unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn url(address: &str, port: u16, path: &str) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{port}/{path}")
    } else {
        format!("http://{address}:{port}/{path}")
    }
}

/// What a pod gets from URLs, one after the other, in one try that soon ends.
fn get(cluster: &Cluster<'_>, from: &Party, urls: &[String]) -> Result<Vec<String>, String> {
    let script = "for url; do busybox timeout 5 wget -qO- $url || exit; done";
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let got = cluster.kubectl(&[&["exec", from.name.as_str(), "--", "sh", "-c", script, "sh"], &urls[..]].concat());
    let answers: Vec<String> = got.stdout.lines().map(str::to_owned).collect();
    if got.code == 0 && answers.len() == urls.len() { Ok(answers) } else { Err(format!("{from:?} got {got:?}")) }
}
