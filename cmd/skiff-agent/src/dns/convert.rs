//! From API objects to the zone's records. Pure.

use std::net::IpAddr;

use hickory_proto::rr::Name;

use super::zone::records::{Endpoint, Port, Service, Slice, Target, protocol_label};
use crate::api::objects;

/// The label that ties a slice to its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// The older way to say `publishNotReadyAddresses`.
const TOLERATE_UNREADY: &str = "service.alpha.kubernetes.io/tolerate-unready-endpoints";

/// The zone's view of a Service; nothing for one without a usable target.
pub(super) fn service(object: &objects::Service) -> Option<Service> {
    let spec = &object.spec;
    let annotations = object.metadata.annotations.as_ref();
    let tolerates = annotations.and_then(|all| all.get(TOLERATE_UNREADY)).is_some_and(|value| value == "true");
    Some(Service {
        namespace: object.metadata.namespace.clone()?,
        name: object.metadata.name.clone()?,
        target: target(spec)?,
        ports: spec.ports.iter().flatten().filter_map(service_port).collect(),
        publish_not_ready: spec.publish_not_ready_addresses || tolerates,
    })
}

fn target(spec: &objects::ServiceSpec) -> Option<Target> {
    if spec.kind.as_deref() == Some("ExternalName") {
        let mut name = Name::from_utf8(spec.external_name.as_deref()?).ok()?;
        name.set_fqdn(true);
        return (!name.is_root()).then_some(Target::External(name));
    }
    let first = spec.cluster_ip.as_deref()?;
    if first == "None" {
        return Some(Target::Headless);
    }
    let all = spec.cluster_ips.iter().flatten().map(String::as_str);
    let addresses: Vec<IpAddr> = match all.filter_map(|ip| ip.parse().ok()).collect::<Vec<_>>() {
        none if none.is_empty() => vec![first.parse().ok()?],
        some => some,
    };
    Some(Target::Addresses(addresses))
}

fn service_port(port: &objects::ServicePort) -> Option<Port> {
    self::port(port.name.as_deref(), port.protocol.as_deref(), port.port)
}

fn port(name: Option<&str>, protocol: Option<&str>, number: u16) -> Option<Port> {
    let protocol = protocol_label(protocol)?;
    Some(Port { name: name.unwrap_or_default().to_ascii_lowercase(), protocol, number })
}

/// The zone's view of an EndpointSlice; nothing for one that belongs to no service.
pub(super) fn slice(object: &objects::EndpointSlice) -> Option<Slice> {
    let metadata = &object.metadata;
    let ports = object.ports.iter().flatten();
    Some(Slice {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        service: metadata.labels.as_ref()?.get(SERVICE_LABEL)?.clone(),
        endpoints: object.endpoints.iter().flatten().map(endpoint).collect(),
        ports: ports.filter_map(|found| port(found.name.as_deref(), found.protocol.as_deref(), found.port?)).collect(),
    })
}

fn endpoint(object: &objects::Endpoint) -> Endpoint {
    Endpoint {
        // Slices of type FQDN list names here; the specification has no place for them.
        addresses: object.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        hostname: object.hostname.as_ref().filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase()),
        ready: object.conditions.ready.unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service_with(spec: Value) -> Option<Service> {
        let object = json!({"metadata": {"namespace": "n", "name": "s"}, "spec": spec});
        service(&serde_json::from_value(object).unwrap())
    }

    fn addresses(all: &[&str]) -> Target {
        Target::Addresses(all.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn both_families_of_a_service_are_taken() {
        let found = service_with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}));
        assert_eq!(found.unwrap().target, addresses(&["10.0.0.1", "fd00::1"]));
    }

    #[test]
    fn a_server_without_dual_stack_is_understood() {
        let found = service_with(json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80, "name": "Web"}]})).unwrap();
        assert_eq!(found.target, addresses(&["10.0.0.1"]));
        assert_eq!(found.ports, [Port { name: "web".into(), protocol: "tcp", number: 80 }]);
    }

    #[test]
    fn headless_and_external_services_are_told_apart() {
        assert_eq!(service_with(json!({"clusterIP": "None"})).unwrap().target, Target::Headless);
        let external = service_with(json!({"type": "ExternalName", "externalName": "db.example.com"})).unwrap();
        assert_eq!(external.target, Target::External(Name::from_ascii("db.example.com.").unwrap()));
    }

    #[test]
    fn services_without_a_target_are_left_out() {
        assert_eq!(service_with(json!({})), None);
        assert_eq!(service_with(json!({"clusterIP": ""})), None);
        assert_eq!(service_with(json!({"type": "ExternalName", "externalName": ""})), None);
        assert_eq!(service_with(json!({"type": "ExternalName"})), None);
    }

    #[test]
    fn the_old_annotation_publishes_unready_endpoints_too() {
        let object = json!({
            "metadata": {"namespace": "n", "name": "s", "annotations": {TOLERATE_UNREADY: "true"}},
            "spec": {"clusterIP": "None"},
        });
        assert!(service(&serde_json::from_value(object).unwrap()).unwrap().publish_not_ready);
    }

    #[test]
    fn a_slice_of_either_version_is_understood() {
        let object = json!({
            "metadata": {"namespace": "n", "name": "s-1", "labels": {SERVICE_LABEL: "s"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.1.0.1"], "hostname": "Web-0", "conditions": {"ready": true},
                 "topology": {"kubernetes.io/hostname": "a"}},
                {"addresses": ["10.1.0.2"], "conditions": {"ready": false}},
                {"addresses": ["10.1.0.3"], "conditions": {}},
            ],
            "ports": [{"name": "", "port": 80, "protocol": "UDP"}, {"name": "any"}],
        });
        let found = slice(&serde_json::from_value(object).unwrap()).unwrap();
        assert_eq!(found.service, "s");
        assert_eq!(found.endpoints.iter().map(|e| e.ready).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(found.endpoints[0].hostname.as_deref(), Some("web-0"));
        assert_eq!(found.ports, [Port { name: String::new(), protocol: "udp", number: 80 }]);
    }

    #[test]
    fn empty_lists_may_be_null() {
        let object = json!({
            "metadata": {"namespace": "n", "name": "s-1", "labels": {SERVICE_LABEL: "s"}},
            "endpoints": null, "ports": null,
        });
        assert!(slice(&serde_json::from_value(object).unwrap()).unwrap().endpoints.is_empty());
    }

    #[test]
    fn a_slice_without_a_service_is_left_out() {
        let object = json!({"metadata": {"namespace": "n", "name": "s-1"}});
        assert_eq!(slice(&serde_json::from_value(object).unwrap()), None);
    }
}
