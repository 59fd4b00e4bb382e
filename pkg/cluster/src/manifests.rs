//! What every cluster runs beside Kubernetes itself: DNS and storage of skiff-agent.

use skiff_bootstrap::Endpoint;
use skiff_config::ClusterSpec;

/// Placeholders are explained in `deploy/agent/README.md`.
const DNS: &str = include_str!("../../../deploy/agent/dns.yaml");
const STORAGE: &str = include_str!("../../../deploy/agent/storage.yaml");

/// The manifests for a cluster, ready to be applied.
///
/// The agent talks to the control plane's endpoint and not to the service `kubernetes`, so that it
/// does not have to wait for kube-proxy.
pub(crate) fn system(spec: &ClusterSpec, endpoint: &Endpoint, agent_image: &str) -> String {
    let networks = format!("{},{}", spec.service_cidr, spec.pod_cidr);
    let api_port = endpoint.port.to_string();
    let dns_ip = spec.cluster_dns_ip().to_string();
    let values = [
        ("{{image}}", agent_image),
        ("{{domain}}", &spec.dns_domain),
        ("{{cluster_dns_ip}}", &dns_ip),
        ("{{cluster_networks}}", &networks),
        ("{{api_host}}", &endpoint.host),
        ("{{api_port}}", &api_port),
    ];
    let template = format!("{DNS}\n---\n{STORAGE}");
    values.iter().fold(template, |text, (placeholder, value)| text.replace(placeholder, value))
}

#[cfg(test)]
mod tests {
    use skiff_config::SpecFile;

    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let spec = SpecFile::default().resolve("dev".parse().unwrap()).unwrap();
        let endpoint = Endpoint { host: "192.168.49.2".to_owned(), port: 8443 };
        let text = system(&spec, &endpoint, "example.test/agent:1");
        assert!(!text.contains("{{"), "{text}");
        assert!(text.contains("clusterIP: 10.96.0.10") && text.contains("image: example.test/agent:1"));
    }
}
