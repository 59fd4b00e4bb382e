//! The pod network of a node: bridge, host-local and portmap.

use serde_json::{Value, json};

use crate::NodeConfig;

/// Where the runtime finds it. Sorts before what people add.
pub const CONFLIST: &str = "/etc/cni/net.d/10-skiff.conflist";

/// The node's network configuration list, JSON.
///
/// It hides no address: pods of other nodes must see who talks to them, and the plugin knows of no
/// other node. What leaves the pod network as a whole is given the node's address by the node's own
/// set-up (`deploy/node`).
///
/// Version 0.4.0 of the format is read by every runtime that Kubernetes 1.20 to 1.37 work with.
#[must_use]
pub fn conflist(node: &NodeConfig) -> String {
    // A pod gets an address of each.
    let networks = [Some(node.pod_cidr.to_string()), node.ipv6.map(|ipv6| ipv6.pods.to_string())];
    let ranges: Vec<Value> = networks.into_iter().flatten().map(|subnet| json!([{ "subnet": subnet }])).collect();
    let mut bridge = json!({
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": true,
        // A pod that calls its own service gets its own packet back through the same port.
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "ranges": ranges,
            // Empty after a restart of the node, when all its pods are gone: no address leaks.
            "dataDir": "/run/skiff/cni",
        },
    });
    if let Some(mtu) = node.mtu {
        bridge["mtu"] = mtu.into();
    }
    let list: Value = json!({
        "cniVersion": "0.4.0",
        "name": "skiff",
        "plugins": [bridge, { "type": "portmap", "capabilities": { "portMappings": true } }],
    });
    format!("{list:#}\n")
}
