//! `InitConfiguration`: what concerns one node.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ApiVersion, document::duration, kubelet};
use crate::{ClusterConfig, NodeConfig};

/// How long the token is good that people may join nodes of their own with.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

pub(super) fn init(cluster: &ClusterConfig, node: &NodeConfig) -> Value {
    let api = ApiVersion::of(cluster.version());
    let mut document = json!({
        "apiVersion": api.as_str(),
        "kind": "InitConfiguration",
        "localAPIEndpoint": { "advertiseAddress": node.address.to_string(), "bindPort": cluster.spec.apiserver.port },
        "nodeRegistration": registration(cluster, node, api),
    });
    if node.role.is_control_plane() {
        document["bootstrapTokens"] = json!([{
            "token": cluster.token.reveal(),
            "ttl": duration(TOKEN_LIFE),
            "usages": ["signing", "authentication"],
            "groups": ["system:bootstrappers:kubeadm:default-node-token"],
        }]);
    }
    if api >= ApiVersion::V1Beta4 {
        document["timeouts"] = timeouts(cluster);
    }
    document
}

fn registration(cluster: &ClusterConfig, node: &NodeConfig, api: ApiVersion) -> Value {
    let mut registration = json!({
        "name": node.name.as_str(),
        "criSocket": kubelet::CRI_SOCKET,
        "kubeletExtraArgs": api.extra_args(&kubelet::flags(cluster, node)),
    });
    if node.role.is_control_plane() && node.schedulable {
        // An empty list means none; an absent one means kubeadm's own.
        registration["taints"] = json!([]);
    }
    registration
}

fn timeouts(cluster: &ClusterConfig) -> Value {
    let patience = duration(cluster.patience);
    json!({
        "controlPlaneComponentHealthCheck": patience,
        "kubeletHealthCheck": patience,
        "tlsBootstrap": patience,
        "discovery": patience,
    })
}
