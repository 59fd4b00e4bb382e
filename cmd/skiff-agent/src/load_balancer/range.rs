//! Which addresses of a subnet are for services: pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The last quarter of a subnet. skiff gives its nodes none of these addresses: `service_addresses` of
/// skiff-config says the same.
pub(super) fn of_subnet(subnet: Ipv4Net) -> Ipv4Net {
    let prefix = (subnet.prefix_len() + 2).min(32);
    // The broadcast address lies in the last quarter, whatever the size.
    Ipv4Net::new(subnet.broadcast(), prefix).map_or(subnet, |quarter| quarter.trunc())
}

/// The addresses that services may have.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    range: Ipv4Net,
    subnet: Ipv4Net,
    excluded: Vec<Ipv4Addr>,
}

impl Pool {
    /// All of `range` but the subnet's own addresses and those of `nodes`.
    pub(super) fn new(range: Ipv4Net, subnet: Ipv4Net, nodes: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let gateway = subnet.hosts().next();
        let excluded = nodes.into_iter().chain(gateway).collect();
        Self { range, subnet, excluded }
    }

    /// True if a service may have the address.
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        let edge =
            self.subnet.prefix_len() < 31 && (address == self.subnet.network() || address == self.subnet.broadcast());
        self.range.contains(&address) && !edge && !self.excluded.contains(&address)
    }

    /// All of them, in order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = (u32::from(self.range.network()), u32::from(self.range.broadcast()));
        (first..=last).map(Ipv4Addr::from).filter(|address| self.contains(*address))
    }
}

impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn services_get_the_last_quarter_of_a_subnet() {
        for (subnet, range) in [
            ("192.168.49.0/24", "192.168.49.192/26"),
            ("10.0.0.0/16", "10.0.192.0/18"),
            ("10.1.2.0/29", "10.1.2.6/31"),
            ("10.1.2.4/32", "10.1.2.4/32"),
        ] {
            assert_eq!(of_subnet(net(subnet)), net(range), "{subnet}");
        }
    }

    #[test]
    fn gateway_broadcast_and_nodes_are_left_out() {
        let subnet = net("10.1.2.0/29");
        let all = |range: &str, nodes: &[[u8; 4]]| {
            let pool = Pool::new(net(range), subnet, nodes.iter().map(|octets| Ipv4Addr::from(*octets)));
            pool.addresses().map(|address| address.octets()[3]).collect::<Vec<_>>()
        };
        assert_eq!(all("10.1.2.6/31", &[]), [6]);
        assert_eq!(all("10.1.2.0/29", &[[10, 1, 2, 3]]), [2, 4, 5, 6]);
        assert_eq!(all("10.9.9.8/30", &[]), [8, 9, 10, 11], "a range of another network is taken as it is");
    }
}
