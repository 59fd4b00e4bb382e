//! Ports of the host that lead into containers, and what is said of one that somebody has already.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use bollard::{errors::Error as EngineError, models::ContainerSummary};
use skiff_config::NodeName;
use skiff_driver::Purpose;

use crate::{DockerDriver, Error, labels, node::Found};

impl DockerDriver {
    /// What a start failed with that found a port taken. All of skiff's own are told by the container's
    /// labels: the others were asked for.
    pub(crate) async fn port_taken(
        &self,
        node: NodeName,
        found: &Found,
        address: Option<SocketAddr>,
        source: EngineError,
    ) -> Error {
        let is_at = |label| published(found, label).map(|own| own.port()) == address.map(|at| at.port());
        let own = [(labels::SSH_PORT, Purpose::Ssh), (labels::API_PORT, Purpose::ApiServer)];
        let purpose = own.into_iter().find(|(label, _)| is_at(label)).map_or(Purpose::User, |(_, purpose)| purpose);
        Error::PortTaken { node, address, purpose, holder: self.publisher(address).await, source: Box::new(source) }
    }

    /// The container that publishes a port. None where a program of the host has it, or nobody tells.
    pub(crate) async fn publisher(&self, address: Option<SocketAddr>) -> Option<String> {
        let containers = self.containers(&HashMap::new()).await.ok()?;
        let container = containers.into_iter().find(|container| publishes(container, address))?;
        Some(container.names?.first()?.trim_start_matches('/').to_owned())
    }
}

/// True if a container has the port, at that address or at all of them.
fn publishes(container: &ContainerSummary, address: Option<SocketAddr>) -> bool {
    let Some(wanted) = address else { return false };
    container.ports.iter().flatten().filter(|port| port.public_port == Some(wanted.port())).any(|port| {
        let ip = port.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
        ip.is_none_or(|ip| ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified())
    })
}

/// Where the host forwards the port named by a label. What was asked for is what is: skiff never
/// lets the Engine choose.
pub(crate) fn published(found: &Found, label: &str) -> Option<SocketAddr> {
    let port = found.labels()?.get(label)?;
    let bindings = found.inspected.host_config.as_ref()?.port_bindings.as_ref()?;
    let binding = bindings.get(port)?.as_ref()?.first()?;
    let address: IpAddr = binding.host_ip.as_ref()?.parse().ok()?;
    // All addresses of the host include the one that is surely reachable from it.
    let address = match address {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        other => other,
    };
    Some(SocketAddr::new(address, binding.host_port.as_ref()?.parse().ok()?))
}

/// What is wrong with a port, for a person: `the port 127.0.0.1:8080, which dev publishes, is taken by …`.
pub(crate) fn taken(node: &NodeName, address: Option<SocketAddr>, purpose: Purpose, holder: Option<&str>) -> String {
    let Some(address) = address else { return format!("a port that {node} publishes is taken") };
    let what = match purpose {
        Purpose::Ssh => " for ssh",
        Purpose::ApiServer => " for its API server",
        Purpose::User => "",
    };
    let by = holder.map(|name| format!(" by the container {name}")).unwrap_or_default();
    format!("the port {address}, which {node} publishes{what}, is taken{by}")
}

#[cfg(test)]
mod tests {
    use bollard::models::PortSummary;

    use super::*;

    fn container(ip: Option<&str>, public_port: Option<u16>) -> ContainerSummary {
        let port = PortSummary { ip: ip.map(str::to_owned), private_port: 80, public_port, typ: None };
        ContainerSummary { ports: Some(vec![port]), ..Default::default() }
    }

    #[test]
    fn the_container_that_has_a_port_is_known() {
        let wanted = Some("127.0.0.1:8080".parse().unwrap());
        for (ip, port, has) in [
            (Some("127.0.0.1"), Some(8080), true),
            (Some("0.0.0.0"), Some(8080), true),
            (None, Some(8080), true),
            (Some("127.0.0.2"), Some(8080), false),
            (Some("127.0.0.1"), Some(8081), false),
            (None, None, false),
        ] {
            assert_eq!(publishes(&container(ip, port), wanted), has, "{ip:?} {port:?}");
        }
        assert!(publishes(&container(Some("10.0.0.1"), Some(80)), Some("0.0.0.0:80".parse().unwrap())));
        assert!(!publishes(&container(None, Some(8080)), None));
    }

    #[test]
    fn a_taken_port_is_told_with_what_it_is_for_and_who_has_it() {
        let node = "dev".parse().unwrap();
        let at = Some("127.0.0.1:8080".parse().unwrap());
        for (address, purpose, holder, told) in [
            (
                at,
                Purpose::User,
                Some("web"),
                "the port 127.0.0.1:8080, which dev publishes, is taken by the container web",
            ),
            (at, Purpose::ApiServer, None, "the port 127.0.0.1:8080, which dev publishes for its API server, is taken"),
            (at, Purpose::Ssh, None, "the port 127.0.0.1:8080, which dev publishes for ssh, is taken"),
            (None, Purpose::User, None, "a port that dev publishes is taken"),
        ] {
            assert_eq!(taken(&node, address, purpose, holder), told);
        }
    }
}
