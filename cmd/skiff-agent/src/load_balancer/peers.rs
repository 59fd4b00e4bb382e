//! Which nodes can answer for addresses: those whose instance of this role says that it is ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Node;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A node that takes longer to say that it is well is not.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// After so many silent probes in a row a node is out.
const SILENT_PROBES: u8 = 2;
/// Nodes with this label take no outside traffic.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// A node as the API knows it and as it answers.
#[derive(Clone, Debug, Default)]
struct Peer {
    address: Option<Ipv4Addr>,
    excluded: bool,
    alive: bool,
    silent: u8,
}

/// The nodes of the cluster.
pub(super) struct Peers {
    me: String,
    port: u16,
    nodes: BTreeMap<String, Peer>,
}

impl Peers {
    /// Knows nobody yet. `port` is where the other instances tell how they are.
    pub(super) fn new(me: String, port: u16) -> Self {
        Self { me, port, nodes: BTreeMap::new() }
    }

    /// Takes in a node.
    pub(super) fn apply(&mut self, node: &Node) {
        let Some(name) = node.metadata.name.clone() else { return };
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let internal = addresses.filter(|address| address.type_ == "InternalIP");
        let peer = self.nodes.entry(name).or_default();
        peer.address = internal.filter_map(|address| address.address.parse().ok()).next();
        peer.excluded = node.metadata.labels.iter().flatten().any(|(label, _)| label == EXCLUDED);
    }

    /// Forgets a node.
    pub(super) fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Forgets all nodes but these.
    pub(super) fn retain(&mut self, names: &BTreeSet<String>) {
        self.nodes.retain(|name, _| names.contains(name));
    }

    /// True if there is anybody else.
    pub(super) fn has_others(&self) -> bool {
        self.nodes.keys().any(|name| *name != self.me)
    }

    /// The nodes' own addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.nodes.values().filter_map(|peer| peer.address)
    }

    /// The nodes that are alive and may take outside traffic, by name, with their addresses. This node is.
    pub(super) fn candidates(&self) -> BTreeMap<&str, Option<Ipv4Addr>> {
        let here = |name: &str, peer: &Peer| !peer.excluded && (peer.alive || name == self.me);
        let all = self.nodes.iter().filter(|(name, peer)| here(name, peer));
        all.map(|(name, peer)| (name.as_str(), peer.address)).collect()
    }

    /// True if it is this instance that hands out addresses: the first of all that are alive, excluded or not.
    pub(super) fn i_keep_the_books(&self) -> bool {
        let first = self.nodes.iter().find(|(name, peer)| peer.alive || **name == self.me);
        first.is_none_or(|(name, _)| *name == self.me)
    }

    /// Asks all other instances how they are. True if that changed anything.
    pub(super) async fn probe(&mut self) -> bool {
        let others = self.nodes.iter().filter(|(name, _)| **name != self.me);
        let asked: Vec<(String, Ipv4Addr)> =
            others.filter_map(|(name, peer)| Some((name.clone(), peer.address?))).collect();
        let answers = join_all(asked.iter().map(|(_, address)| says_ok(*address, self.port, "/ready"))).await;
        let mut changed = false;
        for ((name, _), well) in asked.into_iter().zip(answers) {
            changed |= self.nodes.get_mut(&name).is_some_and(|peer| peer.take_in(well));
        }
        changed
    }
}

impl Peer {
    /// Remembers an answer. True if the peer came to life or died by it.
    fn take_in(&mut self, well: bool) -> bool {
        self.silent = if well { 0 } else { self.silent.saturating_add(1) };
        let alive = well || (self.alive && self.silent < SILENT_PROBES);
        std::mem::replace(&mut self.alive, alive) != alive
    }
}

/// True if a server answers a request with success.
pub(super) async fn says_ok(address: Ipv4Addr, port: u16, path: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(PROBE_TIME, ask).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, labels: &serde_json::Value) -> Node {
        let addresses =
            json!([{ "type": "Hostname", "address": name }, { "type": "InternalIP", "address": "127.0.0.1" }]);
        let metadata = json!({ "name": name, "labels": labels });
        serde_json::from_value(json!({ "metadata": metadata, "status": { "addresses": addresses } })).unwrap()
    }

    fn candidates(peers: &Peers) -> Vec<&str> {
        peers.candidates().into_keys().collect()
    }

    #[test]
    fn a_node_is_out_after_two_silent_probes_and_back_after_one_answer() {
        let mut peer = Peer::default();
        assert_eq!([true, false, false, true].map(|well| peer.take_in(well)), [true, false, true, true]);
        assert!(peer.alive);
    }

    #[tokio::test]
    async fn only_nodes_that_answer_are_candidates() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut peers = Peers::new("b".to_owned(), listener.local_addr().unwrap().port());
        peers.apply(&node("b", &json!({})));
        assert!(!peers.has_others() && peers.i_keep_the_books());
        peers.apply(&node("a", &json!({})));
        assert_eq!(candidates(&peers), ["b"], "nobody has asked a yet");
        tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        });
        assert!(peers.probe().await);
        assert_eq!(candidates(&peers), ["a", "b"]);
        assert!(!peers.i_keep_the_books());
        assert!(!peers.probe().await && peers.probe().await, "the listener is gone");
        assert_eq!(candidates(&peers), ["b"]);
    }

    #[test]
    fn excluded_nodes_are_no_candidates_but_may_keep_the_books() {
        let mut peers = Peers::new("a".to_owned(), 1);
        peers.apply(&node("a", &json!({ EXCLUDED: "" })));
        assert!(candidates(&peers).is_empty());
        assert!(peers.i_keep_the_books());
    }
}
