//! Services: what they offer, who stands behind them, and the address in their status.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use http::Request;
use k8s_openapi::{
    api::core::v1::{EndpointAddress, Endpoints, Service, ServicePort as PortSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::json;

use crate::{
    Client, KubeError, Trouble,
    deadline::Deadline,
    follow::{Collection, Objects},
};

/// A server that takes longer over one question is not waited for.
const ONE_REQUEST: Duration = Duration::from_secs(5);
/// Who writes the addresses of [`Client::set_service_address`].
const ADDRESS_MANAGER: &str = "skiff-tunnel";

/// A service as its users see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type, e.g. `NodePort`.
    pub kind: String,
    /// Its virtual address; none if it is headless.
    pub cluster_ip: Option<String>,
    /// What it offers.
    pub ports: Vec<ServicePort>,
    /// The addresses and names of its load balancer.
    pub addresses: Vec<String>,
    /// Another load balancer is to serve it.
    pub class: Option<String>,
}

/// A port of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, needed only where there are several.
    pub name: Option<String>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number.
    pub port: u16,
    /// The port of every node that leads to it.
    pub node_port: Option<u16>,
    /// The pods' port: a number or a name.
    pub target: String,
}

/// A port of a pod that stands behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The name of the service's port that leads here.
    pub port_name: Option<String>,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod; none where somebody wrote an address by hand.
    pub pod: Option<String>,
    /// The address.
    pub address: Option<IpAddr>,
    /// The pod's port.
    pub port: u16,
    /// Whether it takes traffic.
    pub ready: bool,
}

impl Client {
    /// The services of a namespace, or of all, in order.
    ///
    /// # Errors
    /// When the API server does not answer in seconds.
    pub async fn services(&self, namespace: Option<&str>) -> Result<Vec<ServiceInfo>, KubeError> {
        let path = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/services"),
            None => "/api/v1/services".to_owned(),
        };
        let listed = Deadline::after(ONE_REQUEST).limit(ONE_REQUEST, self.list(&Collection::all(path))).await;
        let listed: Vec<Service> = listed.map_err(|trouble| self.unavailable(trouble))?;
        Ok(listed.into_iter().map(info).collect())
    }

    /// Tells all services at once and after every change, and the trouble whenever the API server does not
    /// answer; tries for ever. Returns only when `tell` says `false`.
    pub async fn watch_services(&self, mut tell: impl FnMut(Result<Vec<ServiceInfo>, KubeError>) -> bool + Send) {
        let tell = |seen: Result<&Objects<Service>, Trouble>| match seen {
            Ok(objects) => tell(Ok(objects.values().cloned().map(info).collect())),
            Err(trouble) => tell(Err(self.unavailable(trouble))),
        };
        self.observe(Collection::all("/api/v1/services"), tell).await;
    }

    /// The pods behind a service, ready ones first; none for a service that is not there.
    ///
    /// # Errors
    /// When the API server does not answer in seconds.
    pub async fn backends(&self, namespace: &str, service: &str) -> Result<Vec<Backend>, KubeError> {
        let path = format!("/api/v1/namespaces/{namespace}/endpoints/{service}");
        let answer = Deadline::after(ONE_REQUEST).limit(ONE_REQUEST, self.get::<Endpoints>(&path)).await;
        match answer {
            Ok(endpoints) => Ok(backends(namespace, endpoints)),
            Err(trouble) if trouble.code() == Some(404) => Ok(Vec::new()),
            Err(trouble) => Err(self.unavailable(trouble)),
        }
    }

    /// Writes the one address of a service's load balancer into its status, or takes it out. A service that
    /// is not there any more is no error.
    ///
    /// # Errors
    /// When the API server does not answer in seconds, or refuses.
    pub async fn set_service_address(
        &self,
        namespace: &str,
        service: &str,
        address: Option<&str>,
    ) -> Result<(), KubeError> {
        let ingress = address.map(|address| json!([{ "ip": address }]));
        let patch = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}/status?fieldManager={ADDRESS_MANAGER}");
        let request = Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
            .body(patch.to_string().into_bytes())
            .map_err(|error| self.unavailable(Trouble::Garbled { detail: error.to_string() }))?;
        match Deadline::after(ONE_REQUEST).limit(ONE_REQUEST, self.send(request)).await {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.code() == Some(404) => Ok(()),
            Err(source @ Trouble::Answer { .. }) => {
                Err(KubeError::Refused { object: format!("the address of service {namespace}/{service}"), source })
            }
            Err(trouble) => Err(self.unavailable(trouble)),
        }
    }
}

fn info(service: Service) -> ServiceInfo {
    let spec = service.spec.unwrap_or_default();
    let ingress = service.status.and_then(|status| status.load_balancer).and_then(|status| status.ingress);
    ServiceInfo {
        namespace: service.metadata.namespace.unwrap_or_default(),
        name: service.metadata.name.unwrap_or_default(),
        kind: spec.type_.unwrap_or_else(|| "ClusterIP".to_owned()),
        cluster_ip: spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None"),
        ports: spec.ports.into_iter().flatten().map(port).collect(),
        addresses: ingress.into_iter().flatten().filter_map(|entry| entry.ip.or(entry.hostname)).collect(),
        class: spec.load_balancer_class,
    }
}

fn port(port: PortSpec) -> ServicePort {
    let number = |port: i32| u16::try_from(port).unwrap_or_default();
    ServicePort {
        name: port.name.filter(|name| !name.is_empty()),
        protocol: port.protocol.unwrap_or_else(|| "TCP".to_owned()),
        port: number(port.port),
        node_port: port.node_port.map(number).filter(|port| *port != 0),
        target: match port.target_port {
            Some(IntOrString::Int(port)) => port.to_string(),
            Some(IntOrString::String(name)) => name,
            None => port.port.to_string(),
        },
    }
}

fn backends(namespace: &str, endpoints: Endpoints) -> Vec<Backend> {
    let mut found: BTreeMap<bool, Vec<Backend>> = BTreeMap::new();
    for subset in endpoints.subsets.into_iter().flatten() {
        let ports = subset.ports.unwrap_or_default();
        for (ready, addresses) in [(true, subset.addresses), (false, subset.not_ready_addresses)] {
            for address in addresses.into_iter().flatten() {
                let pod = pod(&address);
                found.entry(!ready).or_default().extend(ports.iter().map(|port| Backend {
                    port_name: port.name.clone().filter(|name| !name.is_empty()),
                    namespace: namespace.to_owned(),
                    pod: pod.clone(),
                    address: address.ip.parse().ok(),
                    port: u16::try_from(port.port).unwrap_or_default(),
                    ready,
                }));
            }
        }
    }
    found.into_values().flatten().collect()
}

fn pod(address: &EndpointAddress) -> Option<String> {
    let target = address.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
    target.name.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_read_as_its_users_see_it() {
        let service = serde_json::from_value(json!({
            "metadata": { "namespace": "default", "name": "web" },
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.1.1",
                "ports": [
                    { "name": "http", "port": 80, "targetPort": "web", "nodePort": 30080 },
                    { "port": 53, "protocol": "UDP", "nodePort": 0 }
                ]
            },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }, { "hostname": "example.test" }] } }
        }));
        let web = info(service.unwrap());
        assert_eq!((web.kind.as_str(), web.cluster_ip.as_deref()), ("LoadBalancer", Some("10.96.1.1")));
        assert_eq!(web.addresses, ["192.0.2.1", "example.test"]);
        assert_eq!((web.ports[0].node_port, web.ports[0].target.as_str()), (Some(30080), "web"));
        let udp = &web.ports[1];
        assert_eq!((udp.protocol.as_str(), udp.node_port, udp.target.as_str()), ("UDP", None, "53"));
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let service = serde_json::from_value(json!({ "spec": { "clusterIP": "None" } }));
        let headless = info(service.unwrap());
        assert_eq!((headless.cluster_ip, headless.kind.as_str()), (None, "ClusterIP"));
    }

    #[test]
    fn pods_that_are_ready_come_first() {
        let address = |pod: &str| json!({ "ip": "10.0.0.1", "targetRef": { "kind": "Pod", "name": pod } });
        let endpoints = serde_json::from_value(json!({ "subsets": [
            { "notReadyAddresses": [address("slow")], "ports": [{ "name": "http", "port": 8080 }] },
            { "addresses": [address("quick"), { "ip": "192.0.2.1" }], "ports": [{ "name": "http", "port": 8080 }] },
        ] }));
        let all = backends("default", endpoints.unwrap());
        let told: Vec<_> = all.iter().map(|backend| (backend.pod.as_deref(), backend.ready)).collect();
        assert_eq!(told, [(Some("quick"), true), (None, true), (Some("slow"), false)]);
        assert_eq!((all[0].port_name.as_deref(), all[0].port), (Some("http"), 8080));
        assert_eq!(all[1].address, Some([192, 0, 2, 1].into()));
    }
}
