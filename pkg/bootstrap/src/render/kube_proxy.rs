//! `KubeProxyConfiguration`.

use serde_json::{Value, json};
use skiff_config::Component;

use super::{
    document::insert_unless_empty,
    field_path::{self, Schema},
    gates,
};
use crate::{BootstrapError, ClusterConfig};

const SCHEMA: Schema = Schema { text_maps: &[], texts: &[], lists: &["nodePortAddresses", "ipvs.excludeCIDRs"] };

pub(super) fn configuration(cluster: &ClusterConfig) -> Result<Value, BootstrapError> {
    let mut document = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": cluster.spec.pod_cidrs(),
        // A node in a container may not write these limits, and kube-proxy ends when it cannot.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "mode": "iptables",
        // A small cluster's rules are written in milliseconds: no need to collect changes for a second.
        "iptables": { "minSyncPeriod": "250ms" },
    });
    insert_unless_empty(&mut document, "featureGates", gates::to_map(gates::of_components(cluster)));
    for (key, value) in cluster.settings(Component::KubeProxy) {
        field_path::set(&mut document, &SCHEMA, key, value).map_err(|detail| {
            let setting = format!("kube-proxy.{key}={value}");
            BootstrapError::ExtraConfig { setting, detail }
        })?;
    }
    Ok(document)
}
