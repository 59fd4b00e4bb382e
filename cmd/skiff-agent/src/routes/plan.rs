//! Which routes there have to be, and what to change to get there: pure.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;

/// What matters here of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    name: String,
    addresses: Vec<IpAddr>,
    pods: Vec<IpNet>,
}

/// The way to a node's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The pods' addresses.
    pub(super) pods: IpNet,
    /// Their node's address.
    pub(super) via: IpAddr,
}

/// A step towards the wanted routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Add the route, or lead it elsewhere.
    Set(Route),
    /// Remove it.
    Remove(Route),
}

impl Peer {
    pub(super) fn of(node: &Node) -> Self {
        let addresses = node.status.iter().filter_map(|status| status.addresses.as_ref()).flatten();
        let internal = addresses.filter(|address| address.type_ == "InternalIP");
        let many = node.spec.iter().filter_map(|spec| spec.pod_cidrs.as_ref()).flatten();
        let one = node.spec.iter().filter_map(|spec| spec.pod_cidr.as_ref());
        let mut pods: Vec<IpNet> = many.chain(one).filter_map(|text| text.parse().ok()).collect();
        pods.sort_unstable();
        pods.dedup();
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            addresses: internal.filter_map(|address| address.address.parse().ok()).collect(),
            pods,
        }
    }

    /// The node's address by which these pods are reached: the first of their family.
    fn way_to(&self, pods: &IpNet) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == pods.addr().is_ipv4())
    }
}

/// The routes that the node called `here` needs. Of two nodes that claim the same addresses the one
/// whose name comes first is believed, on every node.
pub(super) fn wanted<'a>(
    peers: impl Iterator<Item = &'a Peer>,
    here: &str,
    pod_networks: &[IpNet],
) -> BTreeMap<IpNet, IpAddr> {
    let mut peers: Vec<&Peer> = peers.collect();
    peers.sort_by(|one, other| one.name.cmp(&other.name));
    let mut routes = BTreeMap::new();
    for peer in peers {
        for pods in peer.pods.iter().filter(|pods| pod_networks.iter().any(|network| network.contains(*pods))) {
            let Some(address) = peer.way_to(pods) else { continue };
            routes.entry(*pods).or_insert((peer.name.as_str(), address));
        }
    }
    // After all have had their say: what is this node's own is no other's.
    routes.into_iter().filter(|(_, (owner, _))| *owner != here).map(|(pods, (_, via))| (pods, via)).collect()
}

/// What to change: removals first, so that a network that moved is never led to the wrong node.
pub(super) fn changes(wanted: &BTreeMap<IpNet, IpAddr>, present: &[Route]) -> Vec<Change> {
    let stays = |route: &Route| wanted.get(&route.pods) == Some(&route.via);
    let removals = present.iter().filter(|route| !wanted.contains_key(&route.pods)).map(|route| Change::Remove(*route));
    let missing = |route: &Route| !present.iter().any(|there| there == route);
    let stale = present.iter().filter(|route| wanted.contains_key(&route.pods) && !stays(route));
    let sets = wanted.iter().map(|(pods, via)| Route { pods: *pods, via: *via }).filter(missing).map(Change::Set);
    removals.chain(stale.map(|route| Change::Remove(*route))).chain(sets).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ip(last: u8) -> IpAddr {
        [192, 168, 49, last].into()
    }

    fn peer(name: &str, last: u8, pods: &str) -> Peer {
        Peer { name: name.to_owned(), addresses: vec![ip(last)], pods: vec![net(pods)] }
    }

    fn routes_of(peers: &[Peer]) -> Vec<(String, IpAddr)> {
        let wanted = wanted(peers.iter(), "a", &[net("10.244.0.0/16"), net("fd00:10:244::/56")]);
        wanted.into_iter().map(|(pods, via)| (pods.to_string(), via)).collect()
    }

    #[test]
    fn a_node_tells_its_address_and_its_pods() {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "b" },
            "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"] },
            "status": { "addresses": [
                { "type": "Hostname", "address": "b" },
                { "type": "InternalIP", "address": "fd01::2" },
                { "type": "InternalIP", "address": "192.168.49.3" },
            ] },
        }))
        .unwrap();
        let both = Peer {
            name: "b".to_owned(),
            addresses: vec!["fd01::2".parse().unwrap(), ip(3)],
            pods: vec![net("10.244.1.0/24"), net("fd00:10:244:1::/64")],
        };
        assert_eq!(Peer::of(&node), both);
        let routes =
            [("10.244.1.0/24".to_owned(), ip(3)), ("fd00:10:244:1::/64".to_owned(), "fd01::2".parse().unwrap())];
        assert_eq!(routes_of(&[both]), routes, "each family has its own way");
        let bare: Node = serde_json::from_value(json!({ "metadata": { "name": "c" } })).unwrap();
        assert_eq!(Peer::of(&bare), Peer { name: "c".to_owned(), addresses: Vec::new(), pods: Vec::new() });
    }

    #[test]
    fn each_other_node_that_is_complete_is_routed_to() {
        let unknown = Peer { name: "d".to_owned(), addresses: Vec::new(), pods: vec![net("10.244.3.0/24")] };
        let peers = [peer("a", 2, "10.244.0.0/24"), peer("b", 3, "10.244.1.0/24"), unknown];
        assert_eq!(routes_of(&peers), [("10.244.1.0/24".to_owned(), ip(3))]);
    }

    #[test]
    fn nobody_takes_over_what_is_not_theirs() {
        let greedy = [
            peer("a", 2, "10.244.0.0/24"),
            peer("b", 3, "10.244.0.0/24"),
            peer("c", 4, "0.0.0.0/0"),
            peer("d", 5, "192.168.0.0/16"),
        ];
        assert_eq!(routes_of(&greedy), []);
        let twice = [peer("c", 4, "10.244.1.0/24"), peer("b", 3, "10.244.1.0/24")];
        assert_eq!(routes_of(&twice), [("10.244.1.0/24".to_owned(), ip(3))]);
    }

    #[test]
    fn only_differences_are_changed() {
        let route = |pods: &str, last: u8| Route { pods: net(pods), via: ip(last) };
        let (one, two) = (route("10.244.1.0/24", 3), route("10.244.2.0/24", 4));
        let wanted: BTreeMap<_, _> = [(one.pods, one.via), (two.pods, two.via)].into();
        assert_eq!(changes(&wanted, &[one, two]), []);
        assert_eq!(changes(&wanted, &[one]), [Change::Set(two)]);
        let (gone, moved) = (route("10.244.9.0/24", 9), route("10.244.2.0/24", 8));
        assert_eq!(
            changes(&wanted, &[moved, gone, one]),
            [Change::Remove(gone), Change::Remove(moved), Change::Set(two)]
        );
        assert_eq!(changes(&BTreeMap::new(), &[one]), [Change::Remove(one)]);
    }
}
