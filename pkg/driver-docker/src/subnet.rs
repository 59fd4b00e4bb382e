//! Which subnet a cluster's network gets.

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;

/// How many of minikube's subnets there are.
const USUAL: u8 = 20;
/// How many of each private block are tried when those are taken.
const FURTHER: u8 = 100;

/// Addresses that somebody has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The addresses.
    pub(crate) subnet: Ipv4Net,
    /// Who has them, for a person.
    pub(crate) owner: Owner,
}

/// Who has some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A network of the Engine, by name.
    Network(String),
    /// A route of the host, by interface.
    Route(String),
    /// An address of the host itself.
    Address,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "the docker network {name}"),
            Self::Route(interface) => write!(f, "a route of this host over {interface}"),
            Self::Address => write!(f, "an address of this host"),
        }
    }
}

/// The subnets to try: first minikube's, in its order, so that both tools look alike in a routing table;
/// then parts of the other private blocks that neither Docker nor a cluster's own networks begin with.
pub(crate) fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let usual = (0..USUAL).map(|n| Ipv4Addr::new(192, 168, 49 + 9 * n, 0));
    let further =
        [(172, 30), (10, 20)].into_iter().flat_map(|(a, b)| (0..FURTHER).map(move |n| Ipv4Addr::new(a, b, n, 0)));
    usual.chain(further).map(|address| Ipv4Net::new_assert(address, 24))
}

/// Who has part of the subnet.
pub(crate) fn owner(subnet: Ipv4Net, taken: &[Taken]) -> Option<&Owner> {
    let overlaps = |other: &Ipv4Net| subnet.contains(&other.network()) || other.contains(&subnet.network());
    taken.iter().find(|other| overlaps(&other.subnet)).map(|other| &other.owner)
}

/// The candidates nobody has, in order.
pub(crate) fn free(taken: &[Taken]) -> impl Iterator<Item = Ipv4Net> {
    candidates().filter(|subnet| owner(*subnet, taken).is_none())
}

/// The host's address in a subnet: the first.
pub(crate) fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    subnet.hosts().next().unwrap_or(subnet.network())
}

/// Reads `/proc/net/route`: where the host sends packets.
///
/// Routes to more than a /8 are left out: they are the default route or the two halves into which
/// VPNs split it, and a subnet below them is as good as any.
pub(crate) fn routes(table: &str) -> Vec<Taken> {
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let interface = words.next()?;
        let destination = address(words.next()?)?;
        // Gateway, flags, reference count, use and metric stand between.
        let mask = address(words.nth(5)?)?;
        let subnet = Ipv4Net::with_netmask(destination, mask).ok()?;
        (subnet.prefix_len() >= 8).then(|| Taken { subnet, owner: Owner::Route(interface.to_owned()) })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

/// An address as the kernel prints it in hexadecimal: the memory of a big-endian number, read as a
/// number of this host.
pub(crate) fn address(hex: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(hex, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

/// Reads `/proc/net/fib_trie`: the addresses of the host's interfaces, loopback left out.
pub(crate) fn addresses(trie: &str) -> Vec<Taken> {
    let mut found = Vec::new();
    let mut leaf = None;
    for line in trie.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("|-- ") {
            leaf = rest.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf.filter(|address| !address.is_loopback())
        {
            let taken = Taken { subnet: Ipv4Net::from(address), owner: Owner::Address };
            if !found.contains(&taken) {
                found.push(taken);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(subnet: &str) -> Taken {
        Taken { subnet: subnet.parse().unwrap(), owner: Owner::Network("other".to_owned()) }
    }

    fn first_free(taken: &[Taken]) -> Option<String> {
        free(taken).next().map(|subnet| subnet.to_string())
    }

    #[test]
    fn the_first_free_subnet_is_chosen() {
        assert_eq!(first_free(&[]).as_deref(), Some("192.168.49.0/24"));
        assert_eq!(first_free(&[taken("192.168.49.0/24")]).as_deref(), Some("192.168.58.0/24"));
        assert_eq!(first_free(&[taken("192.168.48.0/20")]).as_deref(), Some("192.168.67.0/24"));
        assert_eq!(first_free(&[taken("192.168.49.200/32")]).as_deref(), Some("192.168.58.0/24"));
        assert_eq!(first_free(&[taken("172.17.0.0/16")]).as_deref(), Some("192.168.49.0/24"));
        assert_eq!(first_free(&[taken("192.168.0.0/16")]).as_deref(), Some("172.30.0.0/24"));
        let most = [taken("192.168.0.0/16"), taken("172.16.0.0/12")];
        assert_eq!(first_free(&most).as_deref(), Some("10.20.0.0/24"));
        assert_eq!(first_free(&[&most[..], &[taken("10.0.0.0/8")]].concat()), None);
    }

    #[test]
    fn hundreds_of_subnets_are_tried_minikubes_first() {
        assert_eq!(candidates().nth(19).unwrap().to_string(), "192.168.220.0/24");
        assert_eq!(candidates().count(), 220);
    }

    #[test]
    fn the_owner_of_a_subnet_is_named() {
        let mine = [taken("10.0.0.0/8"), Taken { owner: Owner::Route("tun0".to_owned()), ..taken("172.30.1.0/24") }];
        let told = |subnet: &str| owner(subnet.parse().unwrap(), &mine).map(ToString::to_string);
        assert_eq!(told("10.1.2.0/24").as_deref(), Some("the docker network other"));
        assert_eq!(told("172.30.0.0/16").as_deref(), Some("a route of this host over tun0"));
        assert_eq!(told("172.31.0.0/16"), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read_without_the_default_ones() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            tun0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
            tun0\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let shown: Vec<String> =
            routes(table).iter().map(|route| format!("{} {}", route.subnet, route.owner)).collect();
        assert_eq!(shown, ["10.0.0.0/8 a route of this host over tun0", "192.0.2.0/24 a route of this host over eth0"]);
        assert_eq!(routes(""), []);
    }

    #[test]
    fn addresses_of_interfaces_are_read_once() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n\
            \x20    |-- 192.0.2.255\n        /32 link BROADCAST\n     |-- 192.0.2.2\n        /32 host LOCAL\n";
        let shown: Vec<String> = addresses(trie).iter().map(|taken| taken.subnet.to_string()).collect();
        assert_eq!(shown, ["192.0.2.2/32"]);
    }
}
