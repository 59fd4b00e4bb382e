//! The host's connections, as Linux lists them in `/proc/net/tcp`, and what they tell of use: pure.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::Ipv4Net;

/// A connection between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: State,
}

/// What matters of a connection's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// It is there, or about to be.
    Open,
    /// One of its ends is done with it.
    Closing,
    /// It waits for others to connect to it.
    Listening,
}

/// Where a cluster is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doors {
    /// Ports of the host that lead to it.
    pub(super) ports: BTreeSet<u16>,
    /// Its nodes' own addresses.
    pub(super) subnet: Option<Ipv4Net>,
}

impl Doors {
    fn lead(&self, socket: &Socket) -> bool {
        let inside = |address: IpAddr| match (self.subnet, address) {
            (Some(subnet), IpAddr::V4(address)) => subnet.contains(&address),
            _ => false,
        };
        let door = |end: SocketAddr| self.ports.contains(&end.port());
        socket.state != State::Listening && (door(socket.local) || door(socket.remote) || inside(socket.remote.ip()))
    }
}

/// Reads a list of the kernel's; what is no connection is passed over.
pub(super) fn read(text: &str) -> Vec<Socket> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let state = match words.next()? {
            "01" | "02" | "03" => State::Open,
            "0A" => State::Listening,
            _ => State::Closing,
        };
        Some(Socket { local, remote, state })
    };
    text.lines().filter_map(line).collect()
}

/// `0100007F:1F90`: words of the kernel's own byte order, here as everywhere that skiff runs the lower
/// byte first.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words: Option<Vec<[u8; 4]>> = (0..address.len() / 8)
        .map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_le_bytes))
        .collect();
    let ip = match words?.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [a, b, c, d] => {
            let bytes: Vec<u8> = [a, b, c, d].into_iter().flatten().copied().collect();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// What was seen of a cluster's use.
#[derive(Debug)]
pub(super) struct Use {
    doors: Doors,
    /// Both ends of every connection that was there at the last look.
    seen: HashSet<(SocketAddr, SocketAddr)>,
}

impl Use {
    pub(super) fn of(doors: Doors) -> Self {
        Self { doors, seen: HashSet::new() }
    }

    /// True if anybody has used the cluster since the last look, or is connected to it. A connection
    /// that came and went in between has left its traces for a minute.
    pub(super) fn look(&mut self, sockets: &[Socket]) -> bool {
        let (new, open) = self.changes(sockets);
        new || open
    }

    /// True if somebody has come since the last look. Whoever was connected when a cluster was frozen
    /// has not asked for anything since.
    pub(super) fn came(&mut self, sockets: &[Socket]) -> bool {
        self.changes(sockets).0
    }

    fn changes(&mut self, sockets: &[Socket]) -> (bool, bool) {
        let ours: Vec<&Socket> = sockets.iter().filter(|socket| self.doors.lead(socket)).collect();
        let ends: HashSet<_> = ours.iter().map(|socket| (socket.local, socket.remote)).collect();
        let new = ends.iter().any(|end| !self.seen.contains(end));
        self.seen = ends;
        (new, ours.iter().any(|socket| socket.state == State::Open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn list(lines: &[(&str, &str, &str)]) -> Vec<Socket> {
        let line =
            |(local, remote, state): &(&str, &str, &str)| format!("   0: {local} {remote} {state} 0:0 0:0 0 0 0 0 1\n");
        read(&(HEAD.to_owned() + &lines.iter().map(line).collect::<String>()))
    }

    fn used() -> Use {
        Use::of(Doors { ports: [8080].into(), subnet: Some("192.168.49.0/24".parse().unwrap()) })
    }

    const CLIENT: (&str, &str) = ("0100007F:D431", "0100007F:1F90");

    #[test]
    fn the_kernels_lists_are_read() {
        let sockets = list(&[("0100007F:1F90", "00000000:0000", "0A"), ("0231A8C0:01BB", CLIENT.0, "01")]);
        assert_eq!(sockets[0].local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((sockets[1].local, sockets[1].state), ("192.168.49.2:443".parse().unwrap(), State::Open));
        let six = list(&[("00000000000000000000000001000000:1F90", "0000000000000000FFFF00000100007F:D431", "01")]);
        assert_eq!((six[0].local, six[0].remote), ("[::1]:8080".parse().unwrap(), "127.0.0.1:54321".parse().unwrap()));
        assert_eq!(read("nonsense\n 0: x y z\n 0: 01:02 03:04 01\n"), []);
    }

    #[test]
    fn whoever_is_connected_uses_a_cluster() {
        let mut used = used();
        assert!(!used.look(&list(&[("0100007F:1F90", "00000000:0000", "0A")])), "nobody but who listens");
        let open = list(&[(CLIENT.0, CLIENT.1, "01")]);
        assert!(used.look(&open) && used.look(&open));
        let gone = list(&[(CLIENT.0, CLIENT.1, "06")]);
        assert!(!used.look(&gone) && !used.look(&gone));
    }

    #[test]
    fn who_came_and_went_is_noticed_once() {
        let mut used = used();
        let gone = list(&[(CLIENT.0, CLIENT.1, "06")]);
        assert!(used.look(&gone));
        assert!(!used.look(&gone));
        assert!(used.look(&list(&[("0100007F:D432", CLIENT.1, "06"), (CLIENT.0, CLIENT.1, "06")])));
    }

    #[test]
    fn a_nodes_own_address_is_a_door_too() {
        assert!(used().look(&list(&[("0131A8C0:D431", "0231A8C0:7570", "02")])));
        assert!(!used().look(&list(&[("0131A8C0:D431", "0232A8C0:7570", "02")])), "another cluster's node");
    }

    #[test]
    fn only_who_comes_wakes_a_frozen_cluster() {
        let mut used = used();
        let stale = list(&[(CLIENT.0, CLIENT.1, "01")]);
        let _ = used.look(&stale);
        assert!(!used.came(&stale));
        assert!(used.came(&list(&[(CLIENT.0, CLIENT.1, "01"), ("0100007F:D433", CLIENT.1, "02")])));
    }
}
