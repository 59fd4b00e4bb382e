//! `ClusterConfiguration`: what all control planes share.

use serde_json::{Value, json};
use skiff_config::Component;

use super::{
    ApiVersion,
    document::{duration, insert_unless_empty},
    flags::Flags,
    gates,
};
use crate::{ClusterConfig, kubeadm::EtcdStart, pki::Sans};

/// What a worker's kubelet has to know of the cluster.
pub(super) fn for_worker(cluster: &ClusterConfig) -> Value {
    let (spec, api) = (&cluster.spec, ApiVersion::of(cluster.version()));
    let mut document = json!({
        "apiVersion": api.as_str(),
        "kind": "ClusterConfiguration",
        "clusterName": spec.name.as_str(),
        // Without it kubeadm asks a server on the internet for the newest version.
        "kubernetesVersion": cluster.version().to_string(),
        "controlPlaneEndpoint": cluster.endpoint.to_string(),
        "imageRepository": cluster.image_repository,
        // Where kubeadm looks for authorities, of which a worker has none. Finding one without its key, it
        // would ask for all the certificates of a control plane.
        "certificatesDir": "/etc/kubernetes/authorities",
        "networking": {
            "serviceSubnet": spec.service_cidrs(),
            "podSubnet": spec.pod_cidrs(),
            "dnsDomain": spec.dns_domain,
        },
    });
    if spec.ipv6.is_some() {
        // Kubernetes 1.20 takes a pair of networks for a mistake without its gate, on workers too.
        insert_unless_empty(&mut document, "featureGates", gates::of_kubeadm(cluster));
    }
    document
}

/// What control planes share. `etcd` says with whom an etcd without data begins; that is of no
/// meaning later, so it stands only in a file for that moment.
pub(super) fn configuration(cluster: &ClusterConfig, etcd: Option<&EtcdStart>) -> Value {
    let api = ApiVersion::of(cluster.version());
    let mut document = for_worker(cluster);
    document["certificatesDir"] = "/etc/kubernetes/pki".into();
    document["apiServer"] = json!({ "certSANs": Sans::of_control_plane(cluster).to_texts() });
    document["etcd"] = json!({ "local": { "dataDir": "/var/lib/etcd" } });
    for (key, flags) in component_flags(cluster, etcd) {
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

fn component_flags(cluster: &ClusterConfig, etcd: Option<&EtcdStart>) -> [(&'static str, Flags); 4] {
    // With nobody to compete with, an election only delays the start of a control plane.
    let election: &[(&str, &str)] = if cluster.control_planes == 1 { &[("leader-elect", "false")] } else { &[] };
    // Pod CIDRs are given to nodes by skiff, by the node's number. The default of 20 requests a
    // second makes its controllers wait for each other when a cluster starts.
    let manager =
        [election, &[("allocate-node-cidrs", "false"), ("kube-api-qps", "300"), ("kube-api-burst", "600")]].concat();
    // An etcd of one member waits for an election too, by chance up to the whole of its time. It may keep this
    // one when others join: their leader tells it five times within it that it leads.
    let paced = cluster.settings(Component::Etcd).any(|(key, _)| key.trim_start_matches('-') == "heartbeat-interval");
    let alone: &[(&str, &str)] =
        if cluster.control_planes == 1 && !paced { &[("election-timeout", "500")] } else { &[] };
    let members = etcd.and_then(EtcdStart::flags);
    let members = members.iter().flatten().map(|(name, value)| (*name, value.as_str()));
    let etcd: Vec<_> = alone.iter().copied().chain(members).collect();
    [
        ("apiServer", Flags::of(cluster, Component::ApiServer, &[])),
        ("controllerManager", Flags::of(cluster, Component::ControllerManager, &manager)),
        ("scheduler", Flags::of(cluster, Component::Scheduler, election)),
        ("etcd", Flags::of(cluster, Component::Etcd, &etcd)),
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
