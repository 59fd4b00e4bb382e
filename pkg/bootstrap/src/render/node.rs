//! `InitConfiguration` and `JoinConfiguration`: what concerns one node.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ApiVersion, document::duration, kubelet};
use crate::{ClusterConfig, NodeConfig, Role, pki::CaPin};

/// How long a token for joining is good. Later joins get a new one.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

pub(super) fn init(cluster: &ClusterConfig, node: &NodeConfig) -> Value {
    let api = ApiVersion::of(cluster.version());
    let mut document = json!({
        "apiVersion": api.as_str(),
        "kind": "InitConfiguration",
        "bootstrapTokens": [{
            "token": cluster.token.reveal(),
            "ttl": duration(TOKEN_LIFE),
            "usages": ["signing", "authentication"],
            "groups": ["system:bootstrappers:kubeadm:default-node-token"],
        }],
        "localAPIEndpoint": api_endpoint(cluster, node),
        "nodeRegistration": registration(cluster, node, api),
    });
    if api >= ApiVersion::V1Beta4 {
        document["timeouts"] = timeouts(cluster);
    }
    document
}

pub(super) fn join(cluster: &ClusterConfig, node: &NodeConfig, ca: &CaPin) -> Value {
    let api = ApiVersion::of(cluster.version());
    let mut document = json!({
        "apiVersion": api.as_str(),
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": cluster.token.reveal(),
                "apiServerEndpoint": cluster.endpoint.to_string(),
                "caCertHashes": [ca.as_str()],
            },
        },
        "nodeRegistration": registration(cluster, node, api),
    });
    if node.role == Role::ControlPlane {
        document["controlPlane"] = json!({ "localAPIEndpoint": api_endpoint(cluster, node) });
    }
    if api < ApiVersion::V1Beta4 {
        document["discovery"]["timeout"] = duration(cluster.patience).into();
    } else {
        document["timeouts"] = timeouts(cluster);
    }
    document
}

fn api_endpoint(cluster: &ClusterConfig, node: &NodeConfig) -> Value {
    json!({ "advertiseAddress": node.address.to_string(), "bindPort": cluster.spec.apiserver.port })
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
