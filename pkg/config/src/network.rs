//! How the addresses of a cluster's subnet are shared out.

use ipnet::Ipv4Net;

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
}
