//! `ClusterConfiguration`: what all control planes share.

use serde_json::{Value, json};
use skiff_config::Component;

use super::{
    ApiVersion,
    document::{duration, insert_unless_empty},
    flags::Flags,
    gates,
};
use crate::{ClusterConfig, pki::Sans};

pub(super) fn configuration(cluster: &ClusterConfig) -> Value {
    let (spec, api) = (&cluster.spec, ApiVersion::of(cluster.version()));
    let mut document = json!({
        "apiVersion": api.as_str(),
        "kind": "ClusterConfiguration",
        "clusterName": spec.name.as_str(),
        // Without it kubeadm asks a server on the internet for the newest version.
        "kubernetesVersion": cluster.version().to_string(),
        "controlPlaneEndpoint": cluster.endpoint.to_string(),
        "imageRepository": cluster.image_repository,
        "certificatesDir": "/etc/kubernetes/pki",
        "networking": {
            "serviceSubnet": spec.service_cidr.to_string(),
            "podSubnet": spec.pod_cidr.to_string(),
            "dnsDomain": spec.dns_domain,
        },
        "apiServer": { "certSANs": Sans::of_control_plane(cluster).to_texts() },
        "etcd": { "local": { "dataDir": "/var/lib/etcd" } },
    });
    for (key, flags) in component_flags(cluster) {
        if !flags.is_empty() {
            let extra_args = api.extra_args(&flags);
            match key {
                "etcd" => document["etcd"]["local"]["extraArgs"] = extra_args,
                _ => document[key]["extraArgs"] = extra_args,
            }
        }
    }
    if let Some(dns) = dns(cluster, api) {
        document["dns"] = dns;
    }
    insert_unless_empty(&mut document, "featureGates", gates::of_kubeadm(cluster));
    if api < ApiVersion::V1Beta4 {
        document["apiServer"]["timeoutForControlPlane"] = duration(cluster.patience).into();
    } else {
        // For what kubeadm itself issues later, when it renews or upgrades.
        document["certificateValidityPeriod"] = duration(cluster.leaf_validity).into();
        document["caCertificateValidityPeriod"] = duration(cluster.ca_validity).into();
        document["encryptionAlgorithm"] = "ECDSA-P256".into();
    }
    document
}

fn component_flags(cluster: &ClusterConfig) -> [(&'static str, Flags); 4] {
    // With nobody to compete with, an election only delays the start of a control plane.
    let election: &[(&str, &str)] = if cluster.control_planes == 1 { &[("leader-elect", "false")] } else { &[] };
    // Pod CIDRs are given to nodes by skiff, by the node's number. The default of 20 requests a
    // second makes its controllers wait for each other when a cluster starts.
    let manager =
        [election, &[("allocate-node-cidrs", "false"), ("kube-api-qps", "300"), ("kube-api-burst", "600")]].concat();
    [
        ("apiServer", Flags::of(cluster, Component::ApiServer, &[])),
        ("controllerManager", Flags::of(cluster, Component::ControllerManager, &manager)),
        ("scheduler", Flags::of(cluster, Component::Scheduler, election)),
        ("etcd", Flags::of(cluster, Component::Etcd, &[])),
    ]
}

/// Where `CoreDNS` comes from, where that is not kubeadm's own choice.
fn dns(cluster: &ClusterConfig, api: ApiVersion) -> Option<Value> {
    if !cluster.coredns {
        return (api >= ApiVersion::V1Beta4).then(|| json!({ "disabled": true }));
    }
    // These kubeadms take today's default registry for one of the user's own, and ask it for
    // `coredns` where it keeps `coredns/coredns`.
    let misled = (21..=24).contains(&cluster.version().minor())
        && cluster.image_repository == skiff_config::versions::IMAGE_REPOSITORY;
    misled.then(|| json!({ "imageRepository": format!("{}/coredns", cluster.image_repository) }))
}
