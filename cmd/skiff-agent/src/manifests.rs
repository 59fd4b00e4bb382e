//! Holds the manifests of the agent's roles to what the agent and old API servers need.

use serde_json::Value;

const README: &str = include_str!("../../../deploy/agent/README.md");
const MANIFESTS: [&str; 3] = [
    include_str!("../../../deploy/agent/dns.yaml"),
    include_str!("../../../addons/storage-provisioner/storage.yaml"),
    include_str!("../../../deploy/agent/routes.yaml"),
];
/// Those that are addons; their format has a test of its own.
const ADDONS: [&str; 3] = [
    include_str!("../../../addons/ingress-dns/ingress-dns.yaml"),
    include_str!("../../../addons/metrics-server/metrics-server.yaml"),
    include_str!("../../../addons/registry/registry.yaml"),
];
/// What addons may be told, and other images of theirs.
const SETTINGS: [(&str, &str); 5] = [
    ("{{image.registry}}", "registry.test/registry:2"),
    ("{{value.port}}", "53"),
    ("{{value.address}}", "192.0.2.1"),
    ("{{value.domains}}", "test,*.example.com"),
    ("{{value.size}}", "1Gi"),
];
const VALUES: [(&str, &str); 11] = [
    ("{{image}}", "registry.test/skiff-agent:1"),
    ("{{domain}}", "cluster.local"),
    ("{{cluster_dns_ip}}", "10.96.0.10"),
    ("{{cluster_networks}}", "10.96.0.0/12,fd00::/108"),
    ("{{pod_address}}", "POD_IPS"),
    ("{{dns_families}}", "ipFamilyPolicy: RequireDualStack"),
    ("{{pod_network}}", "10.244.0.0/16,fd00:10:244::/56"),
    ("{{dns_replicas}}", "1"),
    ("{{host_ip}}", "192.0.2.1"),
    ("{{api_host}}", "192.0.2.10"),
    ("{{api_port}}", "8443"),
];

fn objects() -> Vec<Value> {
    let values = || VALUES.iter().chain(&SETTINGS);
    let render = |text: &str| values().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let documents = MANIFESTS.iter().chain(&ADDONS).flat_map(|text| text.split("\n---\n"));
    documents.map(|document| serde_saphyr::from_str(&render(document)).unwrap()).collect()
}

fn containers() -> Vec<Value> {
    let pods = objects().into_iter().map(|object| object["spec"]["template"]["spec"]["containers"].clone());
    pods.filter_map(|containers| containers.as_array().cloned()).flatten().collect()
}

#[test]
fn each_placeholder_is_documented_and_there_are_no_others() {
    for (name, _) in VALUES {
        assert!(README.contains(&format!("| `{name}` |")), "{name}");
    }
    for object in objects() {
        assert!(!object.to_string().contains("{{"), "{object}");
    }
}

#[test]
fn the_arguments_of_each_container_are_understood() {
    let containers = containers();
    // The registry is a program of its own beside ours.
    assert_eq!(containers.len(), MANIFESTS.len() + ADDONS.len() + 1);
    for container in containers.iter().filter(|container| container["args"].is_array()) {
        let args = container["args"].as_array().unwrap();
        let mut args: Vec<String> =
            args.iter().map(|arg| arg.as_str().unwrap().replace("$(POD_IP)", "fd00::5")).collect();
        args.iter_mut().for_each(|arg| *arg = arg.replace("$(NODE_IP)", "192.0.2.5"));
        args.iter_mut().for_each(|arg| *arg = arg.replace("$(POD_IPS)", "192.0.2.5,fd00::5"));
        let env = container["env"].as_array().unwrap();
        if env.iter().any(|variable| variable["name"] == "NODE_NAME") {
            args.push("--node=a".to_owned());
        }
        crate::cli::check(&args).unwrap();
    }
}

/// Server-side apply on Kubernetes 1.21 and older fails where the protocol is left to the default.
#[test]
fn each_port_names_its_protocol() {
    let services = objects().into_iter().map(|object| object["spec"]["ports"].clone());
    let all = services.chain(containers().into_iter().map(|container| container["ports"].clone()));
    let ports: Vec<Value> = all.filter_map(|ports| ports.as_array().cloned()).flatten().collect();
    assert!(ports.len() > containers().len(), "{ports:?}");
    for port in ports {
        assert!(port["protocol"].is_string(), "{port}");
    }
}

#[test]
fn containers_have_no_more_rights_than_they_need() {
    for container in containers() {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
    }
    for object in objects().iter().filter(|object| object["kind"] == "ClusterRole") {
        assert!(!object.to_string().contains('*'), "{object}");
    }
}
