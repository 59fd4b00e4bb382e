//! Which node answers for an address: pure.

use std::net::Ipv4Addr;

/// The node among `candidates` that answers for `address`.
///
/// Every instance comes to the same answer from the same candidates, and when a node comes or goes only the
/// addresses move that it gets or had: the candidate with the highest score wins, and each has its own score
/// for each address (rendezvous hashing).
pub(super) fn holder<'a>(address: Ipv4Addr, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates.into_iter().max_by_key(|node| (score(address, node), *node))
}

/// FNV-1a over both, and a last mixing: nodes differ only in their last letters. The standard library's hashes
/// may change from one release to the next, and instances of two releases have to agree.
fn score(address: Ipv4Addr, node: &str) -> u64 {
    let bytes = node.bytes().chain(address.octets());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> impl Iterator<Item = Ipv4Addr> {
        (192..=254).map(|last| Ipv4Addr::new(192, 168, 49, last))
    }

    #[test]
    fn addresses_spread_over_the_nodes() {
        let nodes = ["dev", "dev-m02", "dev-m03"];
        for node in nodes {
            let count = addresses().filter(|address| holder(*address, nodes) == Some(node)).count();
            assert!((10..=35).contains(&count), "{node} has {count} of 63");
        }
    }

    #[test]
    fn only_the_addresses_of_a_node_that_goes_move() {
        let (all, fewer) = (["dev", "dev-m02", "dev-m03"], ["dev-m03", "dev"]);
        for address in addresses() {
            let before = holder(address, all);
            if before != Some("dev-m02") {
                assert_eq!(holder(address, fewer), before);
            }
        }
    }

    #[test]
    fn nobody_answers_where_there_is_nobody() {
        assert_eq!(holder(Ipv4Addr::LOCALHOST, []), None);
        assert_eq!(holder(Ipv4Addr::LOCALHOST, ["only"]), Some("only"));
    }
}
