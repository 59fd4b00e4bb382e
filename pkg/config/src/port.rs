//! Ports of a node that the host forwards to.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

/// Text that is not a port mapping.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a port mapping: write [address:][host-port:]node-port[/tcp|/udp], e.g. 8080:80 or 127.0.0.1:8443:443/tcp"
)]
pub struct InvalidPort(pub String);

/// Transport protocol of a forwarded port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As Docker writes it: `tcp`, `udp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port mapping in Docker's notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortMapping {
    /// Address on the host; the cluster's listen address if absent.
    pub host_ip: Option<IpAddr>,
    /// Port on the host; the same as the node's if absent.
    pub host_port: u16,
    /// Port in the node.
    pub node_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl FromStr for PortMapping {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let invalid = || InvalidPort(text.to_owned());
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(invalid);
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(invalid()),
        };
        let (rest, node_port) = match ports.rsplit_once(':') {
            None => (None, port(ports)?),
            Some((rest, node)) => (Some(rest), port(node)?),
        };
        let (host_ip, host_port) = match rest {
            None => (None, node_port),
            Some(rest) => match rest.rsplit_once(':') {
                None => (None, port(rest)?),
                Some((address, host)) => {
                    let address = address.trim_start_matches('[').trim_end_matches(']');
                    (Some(address.parse().map_err(|_| invalid())?), port(host)?)
                }
            },
        };
        Ok(Self { host_ip, host_port, node_port, protocol })
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            None => {}
        }
        write!(f, "{}:{}/{}", self.host_port, self.node_port, self.protocol.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_mappings_follow_dockers_notation() {
        let table = [
            ("80", "80:80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("53:53/udp", "53:53/udp"),
            ("127.0.0.1:8443:443", "127.0.0.1:8443:443/tcp"),
            ("[::1]:8443:443", "[::1]:8443:443/tcp"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<PortMapping>().unwrap().to_string(), shown, "{text}");
        }
        for bad in ["", "0", "80:0", "70000", "80/sctp", "a:80", "1.2.3:80:80", "80:80:80"] {
            assert!(bad.parse::<PortMapping>().is_err(), "{bad}");
        }
    }
}
