//! Which listeners a tunnel needs: pure.

use std::{collections::BTreeSet, net::IpAddr};

use skiff_kubeapi::{ServiceInfo, ServicePort};

use super::Protocol;

/// The class of skiff's own load balancer, as its role of skiff-agent calls it.
const CLASS: &str = "skiff.dev/load-balancer";

/// A port of a service that is to be brought to this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// The service's namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) service: String,
    /// The port.
    pub(super) port: u16,
    /// The port's name.
    pub(super) port_name: Option<String>,
    /// What is spoken there.
    pub(super) protocol: Protocol,
    /// The service's virtual address, which datagrams are sent to.
    pub(super) cluster_ip: Option<IpAddr>,
}

impl Wanted {
    /// A port of a service, if what it speaks can be carried.
    pub(super) fn new(service: &ServiceInfo, port: &ServicePort) -> Option<Self> {
        Some(Self {
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            port: port.port,
            port_name: port.name.clone(),
            protocol: Protocol::of(&port.protocol)?,
            cluster_ip: service.cluster_ip.as_deref().and_then(|ip| ip.parse().ok()),
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} port {}", self.namespace, self.service, self.port)?;
        if self.protocol == Protocol::Tcp { Ok(()) } else { write!(f, "/{}", self.protocol) }
    }
}

/// What a tunnel is to do for the services there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The listeners there must be.
    pub(super) listeners: BTreeSet<Wanted>,
    /// Ports that cannot be brought here, in words.
    pub(super) left_out: BTreeSet<String>,
    /// The services it is about: namespace and name.
    pub(super) services: BTreeSet<(String, String)>,
}

/// True for services that a tunnel brings to this host.
pub(super) fn is_balanced(service: &ServiceInfo) -> bool {
    service.kind == "LoadBalancer" && service.class.as_deref().is_none_or(|class| class == CLASS)
}

/// Plans for all services of a cluster.
pub(super) fn plan(services: &[ServiceInfo]) -> Plan {
    let mut plan = Plan::default();
    for service in services.iter().filter(|service| is_balanced(service)) {
        let (namespace, name) = (&service.namespace, &service.name);
        plan.services.insert((namespace.clone(), name.clone()));
        for port in &service.ports {
            match Wanted::new(service, port) {
                Some(wanted) => drop(plan.listeners.insert(wanted)),
                None => drop(plan.left_out.insert(format!("{namespace}/{name} port {}/{}", port.port, port.protocol))),
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, kind: &str, ports: &[(&str, u16)]) -> ServiceInfo {
        let port = |(protocol, port): &(&str, u16)| ServicePort {
            protocol: (*protocol).to_owned(),
            port: *port,
            ..ServicePort::default()
        };
        ServiceInfo {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            kind: kind.to_owned(),
            ports: ports.iter().map(port).collect(),
            ..ServiceInfo::default()
        }
    }

    #[test]
    fn each_port_of_a_load_balancer_gets_a_listener_that_can_have_one() {
        let plan = plan(&[
            service("web", "LoadBalancer", &[("TCP", 80), ("TCP", 443), ("UDP", 443), ("SCTP", 9)]),
            service("inner", "ClusterIP", &[("TCP", 80)]),
            service("node", "NodePort", &[("TCP", 80)]),
        ]);
        let told: Vec<String> = plan.listeners.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["default/web port 80", "default/web port 443", "default/web port 443/UDP"]);
        assert_eq!(plan.left_out, ["default/web port 9/SCTP".to_owned()].into());
        assert_eq!(plan.services, [("default".to_owned(), "web".to_owned())].into());
    }

    #[test]
    fn services_of_other_classes_are_left_to_others() {
        let of_class = |class: &str| {
            let web = service("web", "LoadBalancer", &[("TCP", 80)]);
            plan(&[ServiceInfo { class: Some(class.to_owned()), ..web }]).listeners.len()
        };
        assert_eq!((of_class(CLASS), of_class("example.com/other")), (1, 0));
    }
}
