//! Ports of the host that lead into a machine.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use serde::{Deserialize, Serialize};
use skiff_config::Protocol;
use skiff_driver::{Published, Purpose};

/// A [`Published`] port as it is kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForward {
    /// `ssh`, `apiserver` or `user`.
    purpose: StoredPurpose,
    /// Address on the host.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the machine.
    pub node_port: u16,
    /// True for UDP, false for TCP.
    pub udp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredPurpose {
    Ssh,
    ApiServer,
    User,
}

impl PortForward {
    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        match self.purpose {
            StoredPurpose::Ssh => Purpose::Ssh,
            StoredPurpose::ApiServer => Purpose::ApiServer,
            StoredPurpose::User => Purpose::User,
        }
    }

    /// Where it is on the host.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host_ip, self.host_port)
    }

    fn is_free(&self) -> bool {
        if self.udp { UdpSocket::bind(self.address()).is_ok() } else { TcpListener::bind(self.address()).is_ok() }
    }
}

impl From<&Published> for PortForward {
    fn from(published: &Published) -> Self {
        let purpose = match published.purpose {
            Purpose::Ssh => StoredPurpose::Ssh,
            Purpose::ApiServer => StoredPurpose::ApiServer,
            Purpose::User => StoredPurpose::User,
        };
        let &Published { host_ip, host_port, node_port, protocol, .. } = published;
        Self { purpose, host_ip, host_port, node_port, udp: protocol == Protocol::Udp }
    }
}

/// The first of the ports that somebody listens on.
#[must_use]
pub fn taken(ports: &[PortForward]) -> Option<SocketAddr> {
    ports.iter().find(|port| !port.is_free()).map(PortForward::address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let published = Published {
            purpose: Purpose::Ssh,
            host_ip: Ipv4Addr::LOCALHOST.into(),
            host_port: listener.local_addr().unwrap().port(),
            node_port: 22,
            protocol: Protocol::Tcp,
        };
        let port = PortForward::from(&published);
        assert_eq!(taken(&[port]), Some(listener.local_addr().unwrap()));
        let text = serde_json::to_string(&port).unwrap();
        assert_eq!(serde_json::from_str::<PortForward>(&text).unwrap(), port);
        drop(listener);
        assert_eq!(taken(&[port]), None);
    }
}
