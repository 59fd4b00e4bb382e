//! The largest packet that finds its way out of the host: pure.

use std::net::Ipv4Addr;

/// What every Ethernet takes, and the Engine gives its networks unless told otherwise.
pub(crate) const ETHERNET: u32 = 1500;

/// The interfaces by which the host reaches the rest of the world, from `/proc/net/route`: those of default
/// routes, and of the two halves into which VPNs split one.
pub(crate) fn ways_out(table: &str) -> Vec<&str> {
    let way_out = |line: &'_ str| {
        let mut words = line.split_whitespace();
        let interface = words.next()?;
        let destination = crate::subnet::address(words.next()?)?;
        // Gateway, flags, reference count, use and metric stand between.
        let mask = crate::subnet::address(words.nth(5)?)?;
        let half = Ipv4Addr::new(128, 0, 0, 0);
        let all = mask.is_unspecified() && destination.is_unspecified();
        (all || mask == half).then_some(interface.len())
    };
    let mut found: Vec<&str> =
        table.lines().skip(1).filter_map(|line| Some(&line.trim_start()[..way_out(line)?])).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a network shall be told, from what the administrator has told the Engine and from what the host's
/// ways out take. `None` where an Ethernet's packets find through.
pub(crate) fn smallest(engine: Option<u32>, ways_out: impl IntoIterator<Item = u32>) -> Option<u32> {
    let smallest = engine.into_iter().chain(ways_out).filter(|mtu| *mtu > 0).min();
    // More than an Ethernet takes is an administrator's to give, not a host's to suggest.
    smallest.map(|mtu| mtu.min(engine.unwrap_or(ETHERNET))).filter(|mtu| *mtu != ETHERNET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    fn hex(address: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(address))
    }

    fn route(interface: &str, destination: [u8; 4], mask: [u8; 4]) -> String {
        format!("{interface} {} {} 0003 0 0 0 {} 0 0 0\n", hex(destination), hex([10, 0, 0, 1]), hex(mask))
    }

    #[test]
    fn ways_out_are_default_routes_whole_or_in_halves() {
        let whole = route("eth0", [0; 4], [0; 4]);
        let own = route("docker0", [172, 17, 0, 0], [255, 255, 0, 0]);
        assert_eq!(ways_out(&format!("{HEAD}{whole}{own}{whole}")), ["eth0"]);
        let halves = route("tun0", [0; 4], [128, 0, 0, 0]) + &route("tun0", [128, 0, 0, 0], [128, 0, 0, 0]);
        assert_eq!(ways_out(&format!("{HEAD}{whole}{halves}{own}")), ["eth0", "tun0"]);
        assert!(ways_out(HEAD).is_empty() && ways_out("").is_empty() && ways_out("head\nnonsense\n").is_empty());
    }

    #[test]
    fn a_network_takes_what_the_narrowest_way_takes() {
        assert_eq!(smallest(None, [1500]), None);
        assert_eq!(smallest(None, [1500, 1380]), Some(1380));
        assert_eq!(smallest(Some(1500), [1400]), Some(1400));
        assert_eq!(smallest(Some(1450), [1500]), Some(1450));
        assert_eq!(smallest(None, []), None);
        assert_eq!(smallest(None, [9001]), None, "a cloud's own Ethernet does not reach far");
        assert_eq!(smallest(Some(9000), [9001]), Some(9000), "somebody wanted it so");
    }
}
