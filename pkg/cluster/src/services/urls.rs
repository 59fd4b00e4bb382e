//! Where a service's ports are reached from the host: pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use skiff_kubeapi::{ServiceInfo, ServicePort};

use super::Protocol;

/// A port of a service and how the host reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The port.
    pub port: ServicePort,
    /// The way there.
    pub way: Way,
}

/// How the host reaches a port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// At an address.
    Direct(SocketAddr),
    /// Only through a forward.
    Forward,
    /// Not at all: forwards carry TCP and UDP only.
    No,
}

impl Endpoint {
    /// True if the port has this name or number.
    #[must_use]
    pub fn is_called(&self, port: &str) -> bool {
        self.port.name.as_deref() == Some(port) || self.port.port.to_string() == port
    }

    /// The port as tables name it: `http/80`, or `80`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.port.name {
            Some(name) => format!("{name}/{}", self.port.port),
            None => self.port.port.to_string(),
        }
    }
}

/// The ways to a service's ports. `node` is the address of a node, if the host can reach it.
pub(super) fn endpoints(service: &ServiceInfo, node: Option<Ipv4Addr>) -> Vec<Endpoint> {
    let way = |port: &ServicePort| {
        let direct = node.and_then(|node| node_port(port, node).or_else(|| balanced(service, port)));
        match direct {
            Some(address) => Way::Direct(address),
            None if Protocol::of(&port.protocol).is_some() && service.kind != "ExternalName" => Way::Forward,
            None => Way::No,
        }
    };
    service.ports.iter().map(|port| Endpoint { way: way(port), port: port.clone() }).collect()
}

fn node_port(port: &ServicePort, node: Ipv4Addr) -> Option<SocketAddr> {
    port.node_port.map(|port| (node, port).into())
}

/// The load balancer's address; one of this host is a tunnel's, whose port may be another.
fn balanced(service: &ServiceInfo, port: &ServicePort) -> Option<SocketAddr> {
    let mut addresses = service.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    addresses.find(|address| !address.is_loopback()).map(|address| (address, port.port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn service(node_port: Option<u16>, addresses: &[&str], protocol: &str) -> ServiceInfo {
        let port = ServicePort { port: 80, node_port, protocol: protocol.to_owned(), ..ServicePort::default() };
        ServiceInfo {
            ports: vec![port],
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            ..ServiceInfo::default()
        }
    }

    fn way(service: &ServiceInfo, node: Option<Ipv4Addr>) -> Way {
        endpoints(service, node)[0].way
    }

    #[test]
    fn node_ports_come_before_load_balancers_and_these_before_forwards() {
        let direct = |text: &str| Way::Direct(text.parse().unwrap());
        assert_eq!(way(&service(Some(30080), &["192.0.2.200"], "TCP"), Some(NODE)), direct("192.0.2.2:30080"));
        assert_eq!(way(&service(None, &["192.0.2.200"], "TCP"), Some(NODE)), direct("192.0.2.200:80"));
        assert_eq!(way(&service(None, &["127.0.0.1"], "TCP"), Some(NODE)), Way::Forward);
        assert_eq!(way(&service(None, &[], "TCP"), Some(NODE)), Way::Forward);
    }

    #[test]
    fn where_nodes_cannot_be_reached_everything_is_forwarded_that_can_be() {
        assert_eq!(way(&service(Some(30080), &["192.0.2.200"], "TCP"), None), Way::Forward);
        assert_eq!(way(&service(Some(30053), &[], "UDP"), None), Way::Forward);
        assert_eq!(way(&service(Some(30053), &[], "SCTP"), None), Way::No);
    }

    #[test]
    fn ports_are_labelled_as_in_minikubes_tables() {
        let mut endpoint = endpoints(&service(None, &[], "TCP"), None).remove(0);
        assert_eq!(endpoint.label(), "80");
        endpoint.port.name = Some("http".to_owned());
        assert_eq!(endpoint.label(), "http/80");
    }
}
