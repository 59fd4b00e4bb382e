//! What the role sees of a Service.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service as Object, ServiceSpec};

use super::{CLASS, status::MANAGER};

/// Where a service is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port with its protocol.
pub(super) type Port = (String, i32);

/// A service, so far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    /// Where it is.
    pub(super) key: Key,
    /// Its identity.
    pub(super) uid: String,
    /// The version of the object that this was read from.
    pub(super) version: String,
    /// When it was made; older ones keep what two of them have.
    pub(super) created: String,
    /// Whether it wants an address from here.
    pub(super) wants: bool,
    /// The address it asks for.
    pub(super) asks: Option<String>,
    /// The addresses and host names in its status.
    pub(super) has: Vec<String>,
    /// Whether this role wrote them.
    pub(super) written_here: bool,
    /// Its ports.
    pub(super) ports: Vec<Port>,
    /// With `externalTrafficPolicy: Local`, the port at which a node says whether it has endpoints.
    pub(super) local: Option<u16>,
}

impl Service {
    /// Reads an object; `None` if it neither wants an address nor has one.
    pub(super) fn read(object: Object) -> Option<Self> {
        let metadata = object.metadata;
        let key = Key { namespace: metadata.namespace.unwrap_or_default(), name: metadata.name.unwrap_or_default() };
        let spec = object.spec.unwrap_or_default();
        let ingress = object.status.and_then(|status| status.load_balancer).and_then(|status| status.ingress);
        let has: Vec<String> = ingress.into_iter().flatten().filter_map(|entry| entry.ip.or(entry.hostname)).collect();
        let wants = metadata.deletion_timestamp.is_none() && wants(&spec);
        if !wants && has.is_empty() {
            return None;
        }
        let written_here = metadata.managed_fields.into_iter().flatten().any(|entry| {
            let fields = entry.fields_v1.map(|fields| fields.0.to_string()).unwrap_or_default();
            entry.manager.as_deref() == Some(MANAGER) && fields.contains("f:loadBalancer")
        });
        Some(Self {
            key,
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
            wants,
            asks: spec.load_balancer_ip.clone().filter(|text| !text.is_empty()),
            has,
            written_here,
            local: local(&spec),
            ports: ports(spec),
        })
    }

    /// The one address in its status, if it is one.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        match self.has.as_slice() {
            [one] => one.parse().ok(),
            _ => None,
        }
    }
}

/// Services of another class are somebody else's.
fn wants(spec: &ServiceSpec) -> bool {
    let class = spec.load_balancer_class.as_deref().unwrap_or(CLASS);
    spec.type_.as_deref() == Some("LoadBalancer") && class == CLASS
}

fn local(spec: &ServiceSpec) -> Option<u16> {
    let port = spec.health_check_node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)?;
    (spec.external_traffic_policy.as_deref() == Some("Local")).then_some(port)
}

fn ports(spec: ServiceSpec) -> Vec<Port> {
    let ports = spec.ports.into_iter().flatten();
    ports.map(|port| (port.protocol.unwrap_or_else(|| "TCP".to_owned()), port.port)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(spec: Value, status: Value) -> Option<Service> {
        let metadata = json!({ "namespace": "default", "name": "web" });
        Service::read(serde_json::from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).unwrap())
    }

    fn with_address(address: &str) -> Value {
        json!({ "loadBalancer": { "ingress": [{ "ip": address }] } })
    }

    #[test]
    fn services_of_our_class_or_none_want_an_address() {
        let wants = |spec: Value| read(spec, json!({})).is_some_and(|service| service.wants);
        assert!(wants(json!({ "type": "LoadBalancer" })));
        assert!(wants(json!({ "type": "LoadBalancer", "loadBalancerClass": CLASS })));
        assert!(!wants(json!({ "type": "LoadBalancer", "loadBalancerClass": "example.com/other" })));
        assert!(!wants(json!({ "type": "NodePort" })));
    }

    #[test]
    fn a_service_that_has_an_address_matters_though_it_wants_none() {
        let service = read(json!({ "type": "ClusterIP" }), with_address("192.0.2.1")).unwrap();
        assert!(!service.wants);
        assert_eq!(service.address(), Some([192, 0, 2, 1].into()));
        assert!(read(json!({ "type": "ClusterIP" }), json!({})).is_none());
    }

    #[test]
    fn the_health_port_counts_only_with_the_local_policy() {
        let local = |policy: &str| {
            let spec = json!({ "type": "LoadBalancer", "externalTrafficPolicy": policy, "healthCheckNodePort": 31000 });
            read(spec, json!({})).unwrap().local
        };
        assert_eq!((local("Local"), local("Cluster")), (Some(31000), None));
    }

    #[test]
    fn who_wrote_the_status_is_known_from_the_managed_fields() {
        let written_by = |manager: &str| {
            let fields = json!([{
                "manager": manager, "fieldsType": "FieldsV1",
                "fieldsV1": { "f:status": { "f:loadBalancer": { "f:ingress": {} } } }
            }]);
            let object = json!({
                "metadata": { "name": "web", "managedFields": fields },
                "spec": { "type": "LoadBalancer" }, "status": with_address("192.0.2.1")
            });
            Service::read(serde_json::from_value(object).unwrap()).unwrap().written_here
        };
        assert!(written_by(MANAGER));
        assert!(!written_by("skiff-tunnel"));
    }
}
