//! What every cluster runs beside Kubernetes itself and beside addons: DNS of skiff-agent, and routes
//! where there are several nodes.

use std::net::Ipv4Addr;

use skiff_bootstrap::Endpoint;
use skiff_config::{ClusterSpec, Cni};

/// Placeholders are explained in `deploy/agent/README.md`.
const DNS: &str = include_str!("../../../deploy/agent/dns.yaml");
const ROUTES: &str = include_str!("../../../deploy/agent/routes.yaml");
/// Name of the daemon set in it.
pub(crate) const ROUTES_NAME: &str = "skiff-routes";

/// What the manifests depend on beside the cluster's settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System<'a> {
    /// Where pods find an API server.
    pub(crate) endpoint: &'a Endpoint,
    /// Image of skiff-agent.
    pub(crate) agent: &'a str,
    /// The host's address in the nodes' network.
    pub(crate) host: Ipv4Addr,
    /// Number of nodes.
    pub(crate) nodes: usize,
}

/// The manifests for a cluster, ready to be applied.
///
/// The agent talks to the control plane's endpoint and not to the service `kubernetes`, so that it
/// does not have to wait for kube-proxy.
pub(crate) fn system(spec: &ClusterSpec, system: &System<'_>) -> String {
    let routes = routes(spec, system);
    [filled(DNS, spec, system)].into_iter().chain(routes).collect::<Vec<_>>().join("\n---\n")
}

/// Those among them for routes between nodes. Alone, a node has nowhere to route to.
pub(crate) fn routes(spec: &ClusterSpec, system: &System<'_>) -> Option<String> {
    let wanted = system.nodes > 1 && spec.cni == Cni::Bridge;
    wanted.then(|| filled(ROUTES, spec, system))
}

fn filled(template: &str, spec: &ClusterSpec, system: &System<'_>) -> String {
    let networks = format!("{},{}", spec.service_cidrs(), spec.pod_cidrs());
    let (api_port, dns_ip) = (system.endpoint.port.to_string(), spec.cluster_dns_ip().to_string());
    let (pods, host) = (spec.pod_cidrs(), system.host.to_string());
    // With a second one, names are found while a node is lost.
    let replicas = system.nodes.clamp(1, 2).to_string();
    let (pod_address, families) = match spec.cluster_dns_ipv6() {
        Some(ipv6) => {
            let families = "ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]";
            ("POD_IPS", format!("{families}\n  clusterIPs: [{dns_ip}, \"{ipv6}\"]"))
        }
        None => ("POD_IP", String::new()),
    };
    let values = [
        ("{{pod_address}}", pod_address),
        ("{{dns_families}}", &families),
        ("{{image}}", system.agent),
        ("{{domain}}", &spec.dns_domain),
        ("{{cluster_dns_ip}}", &dns_ip),
        ("{{cluster_networks}}", &networks),
        ("{{pod_network}}", &pods),
        ("{{dns_replicas}}", &replicas),
        ("{{host_ip}}", &host),
        ("{{api_host}}", &system.endpoint.host),
        ("{{api_port}}", &api_port),
    ];
    values.iter().fold(template.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
}

#[cfg(test)]
mod tests {
    use skiff_config::SpecFile;

    use super::*;

    fn text(nodes: usize, cni: &str) -> String {
        rendered(nodes, SpecFile { cni: Some(cni.to_owned()), ..SpecFile::default() })
    }

    fn rendered(nodes: usize, file: SpecFile) -> String {
        let spec = file.resolve("dev".parse().unwrap()).unwrap();
        let endpoint = &Endpoint { host: "192.168.49.2".to_owned(), port: 8443 };
        let host = "192.168.49.1".parse().unwrap();
        system(&spec, &System { endpoint, agent: "example.test/agent:1", host, nodes })
    }

    #[test]
    fn no_placeholder_is_left() {
        let text = text(2, "bridge");
        assert!(!text.contains("{{"), "{text}");
        assert!(text.contains("clusterIP: 10.96.0.10") && text.contains("image: example.test/agent:1"));
        assert!(text.contains("--host=host.skiff.internal=192.168.49.1"));
    }

    #[test]
    fn names_are_told_by_both_families_where_both_are_spoken() {
        let dual = rendered(2, SpecFile { ip_family: Some("dual".to_owned()), ..SpecFile::default() });
        assert!(dual.contains("--listen=$(POD_IPS)") && dual.contains("clusterIPs: [10.96.0.10, \"fd00:10:96::a\"]"));
        assert!(dual.contains("--local-network=10.96.0.0/12,fd00:10:96::/112,10.244.0.0/16,fd00:10:244::/56"));
        assert!(dual.contains("--pod-network=10.244.0.0/16,fd00:10:244::/56"), "{dual}");
        let plain = text(2, "bridge");
        assert!(plain.contains("--listen=$(POD_IP)\n") && !plain.contains("ipFamil"), "{plain}");
    }

    #[test]
    fn routes_are_kept_where_there_are_several_nodes_and_nobody_else_does() {
        assert!(text(2, "bridge").contains("skiff-routes") && text(3, "bridge").contains("replicas: 2"));
        assert!(!text(1, "bridge").contains("skiff-routes") && text(1, "bridge").contains("replicas: 1"));
        assert!(!text(2, "calico").contains("skiff-routes"));
    }
}
