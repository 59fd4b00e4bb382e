//! Ports of the host for a cluster's own use.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr, TcpListener},
};

use crate::ClusterError;

/// Below the range that kernels hand out for outgoing connections (32768 on Linux), so that a port
/// of a stopped cluster is still free when it starts again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
/// How many to try before giving up.
const TRIES: usize = 200;

/// A port that nothing listens on now and no cluster has reserved.
pub(crate) fn free_port(listen: IpAddr, reserved: &mut BTreeSet<u16>) -> Result<u16, ClusterError> {
    let random = RandomState::new();
    let span = u64::from(RANGE.end - RANGE.start);
    for attempt in 0..TRIES {
        let offset = u16::try_from(random.hash_one(attempt) % span).unwrap_or_default();
        let port = RANGE.start + offset;
        let unused = || TcpListener::bind(SocketAddr::new(listen, port)).is_ok();
        if !reserved.contains(&port) && unused() {
            reserved.insert(port);
            return Ok(port);
        }
    }
    Err(ClusterError::NoFreePort(listen))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn ports_are_never_given_twice() {
        let mut reserved = BTreeSet::new();
        let ports: BTreeSet<u16> =
            (0..50).map(|_| free_port(Ipv4Addr::LOCALHOST.into(), &mut reserved).unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let mut all_but_one: BTreeSet<u16> = RANGE.collect();
        all_but_one.remove(&RANGE.start);
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, RANGE.start)).unwrap();
        assert!(free_port(Ipv4Addr::LOCALHOST.into(), &mut all_but_one).is_err());
    }
}
