//! How the addresses of a cluster's networks are shared out.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The networks of a cluster that speaks IPv6 beside IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Networks {
    /// Addresses of services.
    pub services: Ipv6Net,
    /// Addresses of pods; each node gets a /64 of it.
    pub pods: Ipv6Net,
}

impl Ipv6Networks {
    /// What kind and kubeadm's documents use.
    pub(crate) const SERVICES: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112);
    /// Likewise.
    pub(crate) const PODS: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0), 56);
    /// Prefix length of one node's pods.
    pub(crate) const OF_NODE: u8 = 64;
}

/// What the nodes' IPv6 networks of all clusters begin with: unique local addresses (RFC 4193).
const UNIQUE_LOCAL: [u16; 2] = [0xfd73, 0x6b69];

/// The IPv6 network beside a nodes' subnet: it holds the subnet's own number, so it is free where that is.
#[must_use]
pub fn ipv6_beside(subnet: Ipv4Net) -> Ipv6Net {
    let [a, b, c, d] = subnet.network().octets();
    let [first, second] = UNIQUE_LOCAL;
    let words = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, words[0], words[1], 0, 0, 0, 0), 64)
}

/// A machine's address in that network: it ends as the machine's own in its subnet does.
#[must_use]
pub fn ipv6_address(subnet: Ipv4Net, address: Ipv4Addr) -> Ipv6Addr {
    let end = u32::from(address) & !u32::from(subnet.netmask());
    Ipv6Addr::from(u128::from(ipv6_beside(subnet).network()) | u128::from(end))
}

/// The part of a nodes' subnet that addresses of LoadBalancer services come from: its last quarter. Nodes get
/// theirs from below it, and only when nothing is left there from within.
///
/// The role `load-balancer` of skiff-agent comes to the same from its node's interface; it leaves out the
/// addresses that nodes have.
#[must_use]
pub fn service_addresses(subnet: Ipv4Net) -> Ipv4Net {
    let prefix = (subnet.prefix_len() + 2).min(32);
    // The broadcast address lies in the last quarter, whatever the size.
    Ipv4Net::new(subnet.broadcast(), prefix).map_or(subnet, |quarter| quarter.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_get_the_last_quarter_of_a_subnet() {
        for (subnet, range) in
            [("192.168.49.0/24", "192.168.49.192/26"), ("10.0.0.0/16", "10.0.192.0/18"), ("10.1.2.0/29", "10.1.2.6/31")]
        {
            assert_eq!(service_addresses(subnet.parse().unwrap()), range.parse().unwrap(), "{subnet}");
        }
    }

    #[test]
    fn every_subnet_has_an_ipv6_network_of_its_own_beside_it() {
        let beside = |subnet: &str| ipv6_beside(subnet.parse().unwrap()).to_string();
        assert_eq!(beside("192.168.49.0/24"), "fd73:6b69:c0a8:3100::/64");
        assert_eq!(beside("192.168.58.0/24"), "fd73:6b69:c0a8:3a00::/64");
        assert_eq!(beside("10.20.0.16/28"), "fd73:6b69:a14:10::/64");
        let address = |subnet: &str, ip: &str| ipv6_address(subnet.parse().unwrap(), ip.parse().unwrap()).to_string();
        assert_eq!(address("192.168.49.0/24", "192.168.49.2"), "fd73:6b69:c0a8:3100::2");
        assert_eq!(address("10.20.0.16/28", "10.20.0.18"), "fd73:6b69:a14:10::2");
        assert_eq!(address("10.0.0.0/8", "10.1.2.3"), "fd73:6b69:a00::1:203");
    }
}
