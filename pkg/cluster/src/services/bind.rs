//! Ports of this host.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::net::{TcpListener, UdpSocket};

use super::{Protocol, ServiceError};

/// The ports below this one may need a privilege, and may not: the system is asked by trying.
const PRIVILEGED: u16 = 1024;

/// What listens.
#[derive(Debug)]
pub(super) enum Socket {
    /// For connections.
    Tcp(TcpListener),
    /// For datagrams.
    Udp(UdpSocket),
}

impl Socket {
    async fn bind(protocol: Protocol, address: (IpAddr, u16)) -> io::Result<Self> {
        match protocol {
            Protocol::Tcp => TcpListener::bind(address).await.map(Self::Tcp),
            Protocol::Udp => UdpSocket::bind(address).await.map(Self::Udp),
        }
    }

    fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }
}

/// A port that is listened at.
#[derive(Debug)]
pub(super) struct Bound {
    /// What listens.
    pub(super) socket: Socket,
    /// Its address.
    pub(super) local: SocketAddr,
    /// Why it is not the port that was asked for.
    pub(super) instead: Option<io::Error>,
}

/// Listens at a port, or at another one if that really fails.
pub(super) async fn bind(protocol: Protocol, address: IpAddr, port: u16) -> Result<Bound, ServiceError> {
    let failed = |source| ServiceError::Listen { address, source };
    let refusal = match Socket::bind(protocol, (address, port)).await {
        Ok(socket) => return bound(socket, None).map_err(failed),
        Err(error) => error,
    };
    let mut last = None;
    for port in instead_of(port) {
        match Socket::bind(protocol, (address, port)).await {
            Ok(socket) => return bound(socket, Some(refusal)).map_err(failed),
            Err(error) => last = Some(error),
        }
    }
    Err(failed(last.unwrap_or(refusal)))
}

fn bound(socket: Socket, instead: Option<io::Error>) -> io::Result<Bound> {
    Ok(Bound { local: socket.local()?, socket, instead })
}

/// The ports to try instead, easy to remember ones first: 8080 for 80, 8443 for 443; the last lets the system choose.
fn instead_of(port: u16) -> impl Iterator<Item = u16> {
    let (first, second) = if port < PRIVILEGED { (8000, 18000) } else { (10000, 20000) };
    [port.checked_add(first), port.checked_add(second), Some(0)].into_iter().flatten()
}

/// Why a port could not be had, in words.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "this user may not listen there".to_owned(),
        io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn ports_to_fall_back_to_are_easy_to_remember() {
        let all = |port| instead_of(port).collect::<Vec<_>>();
        assert_eq!(all(80), [8080, 18080, 0]);
        assert_eq!(all(443), [8443, 18443, 0]);
        assert_eq!(all(8080), [18080, 28080, 0]);
        assert_eq!(all(60000), [0]);
    }

    #[tokio::test]
    async fn another_port_is_taken_only_when_the_first_is_not_to_be_had() {
        let address = Ipv4Addr::LOCALHOST.into();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let first = bind(protocol, address, 0).await.unwrap();
            assert!(first.instead.is_none());
            let second = bind(protocol, address, first.local.port()).await.unwrap();
            assert_ne!(second.local.port(), first.local.port());
            assert_eq!(why(&second.instead.unwrap()), "another program listens there");
        }
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_an_error() {
        let error = bind(Protocol::Tcp, "192.0.2.1".parse().unwrap(), 80).await.unwrap_err();
        assert!(
            matches!(error, ServiceError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable)
        );
    }
}
