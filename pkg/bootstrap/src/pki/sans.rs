//! The names and addresses a server's certificate is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{ClusterConfig, NodeConfig};

/// Subject alternative names, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sans {
    /// DNS names.
    pub names: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
}

impl Sans {
    /// All that clients may call this node's API server.
    #[must_use]
    pub fn of_api_server(cluster: &ClusterConfig, node: &NodeConfig) -> Self {
        let mut sans = Self::default();
        sans.name(node.name.as_str());
        sans.node(node);
        let shared = Self::of_control_plane(cluster);
        shared.names.iter().for_each(|name| sans.name(name));
        shared.ips.iter().for_each(|ip| sans.ip(*ip));
        sans
    }

    /// What clients may call any API server of the cluster. Each of its nodes must have these names
    /// in its certificate, or kubeadm does not let it join.
    #[must_use]
    pub fn of_control_plane(cluster: &ClusterConfig) -> Self {
        let (spec, mut sans) = (&cluster.spec, Self::default());
        sans.name("localhost");
        for length in 1..=4 {
            let parts = ["kubernetes", "default", "svc", &spec.dns_domain];
            sans.name(&parts[..length].join("."));
        }
        sans.ip(spec.kubernetes_service_ip().into());
        sans.ip(Ipv4Addr::LOCALHOST.into());
        match cluster.endpoint.host.parse() {
            Ok(address) => sans.ip(address),
            Err(_) => sans.name(&cluster.endpoint.host),
        }
        if !spec.listen_address.is_unspecified() {
            sans.ip(spec.listen_address);
        }
        spec.apiserver.names.iter().for_each(|name| sans.name(name));
        spec.apiserver.ips.iter().for_each(|ip| sans.ip(*ip));
        sans
    }

    /// All that clients may call this node's etcd.
    #[must_use]
    pub fn of_etcd(node: &NodeConfig) -> Self {
        let mut sans = Self::default();
        sans.name(node.name.as_str());
        sans.name("localhost");
        sans.ip(node.address.into());
        sans.ip(Ipv4Addr::LOCALHOST.into());
        sans.ip(Ipv6Addr::LOCALHOST.into());
        sans
    }

    /// What clients may call this node's kubelet.
    #[must_use]
    pub fn of_kubelet(node: &NodeConfig) -> Self {
        let mut sans = Self::default();
        sans.name(node.name.as_str());
        sans.node(node);
        sans
    }

    /// Names, then addresses.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        self.names.iter().cloned().chain(self.ips.iter().map(IpAddr::to_string)).collect()
    }

    /// The node's own addresses.
    fn node(&mut self, node: &NodeConfig) {
        self.ip(node.address.into());
        if let Some(ipv6) = node.ipv6 {
            self.ip(ipv6.address.into());
        }
    }

    fn name(&mut self, name: &str) {
        if !self.names.iter().any(|present| present == name) {
            self.names.push(name.to_owned());
        }
    }

    fn ip(&mut self, ip: IpAddr) {
        if !self.ips.contains(&ip) {
            self.ips.push(ip);
        }
    }
}
