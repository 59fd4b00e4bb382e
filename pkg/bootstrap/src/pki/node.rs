//! The certificates of one node.

use std::time::SystemTime;

use skiff_config::KubeVersion;

use super::{Authority, ClusterPki, Pair, PkiFile, Sans, Validity, authority::Leaf};
use crate::{BootstrapError, ClusterConfig, NodeConfig};

/// Groups that certificates put their bearer into.
#[derive(Debug, Clone, Copy)]
pub struct Group;

impl Group {
    /// May do everything, whatever the cluster's rules say.
    pub const MASTERS: &str = "system:masters";
    /// May do everything because a rule of kubeadm's says so.
    pub const CLUSTER_ADMINS: &str = "kubeadm:cluster-admins";
    /// Kubelets.
    pub const NODES: &str = "system:nodes";
}

/// The group of `admin.conf` and of the API server as a client of kubelets.
#[must_use]
pub fn privileged_group(version: &KubeVersion) -> &'static str {
    if version.minor() >= 29 { Group::CLUSTER_ADMINS } else { Group::MASTERS }
}

/// The certificate that a node's kubelet serves with.
///
/// Left alone, a kubelet makes one of its own at its first start: an RSA key, which takes its time,
/// and a signature that no client can check.
///
/// # Errors
/// [`BootstrapError::Issue`].
pub fn issue_kubelet_server(
    cluster: &ClusterConfig,
    node: &NodeConfig,
    pki: &ClusterPki,
    now: SystemTime,
) -> Result<[PkiFile; 2], BootstrapError> {
    let (name, sans) = (format!("system:node:{}", node.name), Sans::of_kubelet(node));
    let leaf = Leaf { common_name: &name, group: Some(Group::NODES), server: Some(&sans), client: false };
    let pair = pki.ca.issue(&leaf, Validity::new(now, cluster.leaf_validity))?;
    Ok([PkiFile { path: "kubelet.crt", text: pair.certificate }, PkiFile { path: "kubelet.key", text: pair.key }])
}

/// The leaf certificates below `/etc/kubernetes/pki` of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificates {
    api_server: Pair,
    kubelet_client: Pair,
    etcd_client: Pair,
    front_proxy_client: Pair,
    etcd_server: Pair,
    etcd_peer: Pair,
    etcd_healthcheck: Pair,
}

impl NodeCertificates {
    /// Where the API server's own certificate lies below the PKI folder.
    pub const API_SERVER: &str = "apiserver.crt";

    /// Issues all of them, with new keys: for a new node, for one whose certificates are about to
    /// end, and for one whose API server gets further names.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn issue(
        cluster: &ClusterConfig,
        node: &NodeConfig,
        pki: &ClusterPki,
        now: SystemTime,
    ) -> Result<Self, BootstrapError> {
        let validity = Validity::new(now, cluster.leaf_validity);
        let client = |authority: &Authority, name: &str, group| authority.issue(&Leaf::client(name, group), validity);
        let (api_sans, etcd_sans) = (Sans::of_api_server(cluster, node), Sans::of_etcd(node));
        let api_server = Leaf { common_name: "kube-apiserver", group: None, server: Some(&api_sans), client: false };
        // Members of etcd are each other's clients, and kubeadm asks an etcd with its own certificate.
        let etcd = Leaf { common_name: node.name.as_str(), group: None, server: Some(&etcd_sans), client: true };
        let privileged = Some(privileged_group(cluster.version()));
        Ok(Self {
            api_server: pki.ca.issue(&api_server, validity)?,
            kubelet_client: client(&pki.ca, "kube-apiserver-kubelet-client", privileged)?,
            etcd_client: client(&pki.etcd, "kube-apiserver-etcd-client", None)?,
            front_proxy_client: client(&pki.front_proxy, "front-proxy-client", None)?,
            etcd_server: pki.etcd.issue(&etcd, validity)?,
            etcd_peer: pki.etcd.issue(&etcd, validity)?,
            etcd_healthcheck: client(&pki.etcd, "kube-etcd-healthcheck-client", None)?,
        })
    }

    /// As files below `/etc/kubernetes/pki`.
    #[must_use]
    pub fn to_files(&self) -> Vec<PkiFile> {
        let pairs: [(&Pair, &'static str, &'static str); 7] = [
            (&self.api_server, Self::API_SERVER, "apiserver.key"),
            (&self.kubelet_client, "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"),
            (&self.etcd_client, "apiserver-etcd-client.crt", "apiserver-etcd-client.key"),
            (&self.front_proxy_client, "front-proxy-client.crt", "front-proxy-client.key"),
            (&self.etcd_server, "etcd/server.crt", "etcd/server.key"),
            (&self.etcd_peer, "etcd/peer.crt", "etcd/peer.key"),
            (&self.etcd_healthcheck, "etcd/healthcheck-client.crt", "etcd/healthcheck-client.key"),
        ];
        let files = |(pair, certificate, key): (&Pair, &'static str, &'static str)| {
            [
                PkiFile { path: certificate, text: pair.certificate.clone() },
                PkiFile { path: key, text: pair.key.clone() },
            ]
        };
        pairs.into_iter().flat_map(files).collect()
    }
}
