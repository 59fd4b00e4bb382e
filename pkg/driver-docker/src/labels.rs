//! The labels by which everything of skiff's is found again in the Engine.
//!
//! They are the driver's only memory: which cluster a container, volume or network belongs to,
//! and what of a node cannot be asked from the Engine once its container is gone.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use skiff_config::{ClusterName, NodeName};
use skiff_driver::{NodeRole, NodeSpec, Purpose};

/// On containers, volumes and networks: name of the cluster. Its presence is what makes them ours.
pub(crate) const CLUSTER: &str = "dev.skiff.cluster";
/// On containers and volumes: name of the node.
pub(crate) const NODE: &str = "dev.skiff.node";
/// On containers and volumes: [`NodeRole`].
pub(crate) const ROLE: &str = "dev.skiff.node-role";
/// On containers and volumes: the node's address.
pub(crate) const ADDRESS: &str = "dev.skiff.node-address";
/// On images, and so on the containers made from them: key of the node image.
pub(crate) const IMAGE: &str = "dev.skiff.node-image";
/// On images: prefix of what the image's maker wants to know about it.
pub(crate) const CONTENTS: &str = "dev.skiff.node-image.";
/// On containers: the node's port of sshd, as in `22/tcp`.
pub(crate) const SSH_PORT: &str = "dev.skiff.port.ssh";
/// On containers: the node's port of the API server.
pub(crate) const API_PORT: &str = "dev.skiff.port.apiserver";
/// On the container of an entrance: what it was made with.
pub(crate) const ENTRANCE: &str = "dev.skiff.entrance";
/// On the short-lived container that finds out whether the host allows privileged ones: cluster.
pub(crate) const PROBE: &str = "dev.skiff.probe";

/// On volumes of snapshots, which carry none of the above: the cluster.
pub(crate) const SNAPSHOT_CLUSTER: &str = "dev.skiff.snapshot.cluster";
/// On volumes of snapshots: the node.
pub(crate) const SNAPSHOT_NODE: &str = "dev.skiff.snapshot.node";
/// On the volume that tells of a whole snapshot: its name.
pub(crate) const SNAPSHOT: &str = "dev.skiff.snapshot";
/// On the same: when it was taken, in seconds since 1970.
pub(crate) const SNAPSHOT_TAKEN: &str = "dev.skiff.snapshot.taken";
/// On the same: its bytes.
pub(crate) const SNAPSHOT_SIZE: &str = "dev.skiff.snapshot.size";

/// On containers, volumes and networks: prefix of their marks.
pub(crate) const MARK: &str = "dev.skiff.mark.";

/// A set of labels, as the Engine's API has it.
pub(crate) type Labels = HashMap<String, String>;

/// A filter for lists: what carries the label, with a value if one is given.
pub(crate) fn filter(label: &str, value: Option<&str>) -> HashMap<&'static str, Vec<String>> {
    let term = value.map_or_else(|| label.to_owned(), |value| format!("{label}={value}"));
    HashMap::from([("label", vec![term])])
}

/// Labels of a cluster's network.
pub(crate) fn network(cluster: &ClusterName, marks: &BTreeMap<String, String>) -> Labels {
    marked([(CLUSTER, cluster.to_string())], marks)
}

/// Labels of our own, and those of marks.
fn marked<const N: usize>(own: [(&str, String); N], marks: &BTreeMap<String, String>) -> Labels {
    let marks = marks.iter().map(|(key, value)| (format!("{MARK}{key}"), value.clone()));
    own.map(|(label, value)| (label.to_owned(), value)).into_iter().chain(marks).collect()
}

/// Labels of a node's volume: enough to make the node again.
pub(crate) fn volume(spec: &NodeSpec) -> Labels {
    let own = [
        (CLUSTER, spec.cluster.to_string()),
        (NODE, spec.name.to_string()),
        (ROLE, spec.role.to_string()),
        (ADDRESS, spec.address.to_string()),
    ];
    marked(own, &spec.marks)
}

/// Labels of a node's container.
pub(crate) fn container(spec: &NodeSpec) -> Labels {
    let mut labels = volume(spec);
    labels.insert(IMAGE.to_owned(), spec.image.clone());
    for port in &spec.published {
        let label = match port.purpose {
            Purpose::Ssh => SSH_PORT,
            Purpose::ApiServer => API_PORT,
            Purpose::User => continue,
        };
        labels.insert(label.to_owned(), format!("{}/{}", port.node_port, port.protocol.as_str()));
    }
    labels
}

/// Reads the marks among labels.
pub(crate) fn marks(labels: &Labels) -> BTreeMap<String, String> {
    let mark = |(label, value): (&String, &String)| Some((label.strip_prefix(MARK)?.to_owned(), value.clone()));
    labels.iter().filter_map(mark).collect()
}

/// What labels tell of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The cluster it belongs to.
    pub(crate) cluster: ClusterName,
    /// Its name.
    pub(crate) name: NodeName,
    /// What it does.
    pub(crate) role: NodeRole,
    /// Its address.
    pub(crate) address: Option<Ipv4Addr>,
}

/// Reads a node's labels; `None` when they are not a node's, or somebody else uses our prefix.
pub(crate) fn identity(labels: &Labels) -> Option<Identity> {
    Some(Identity {
        cluster: labels.get(CLUSTER)?.parse().ok()?,
        name: labels.get(NODE)?.parse().ok()?,
        role: NodeRole::parse(labels.get(ROLE)?)?,
        address: labels.get(ADDRESS).and_then(|address| address.parse().ok()),
    })
}
