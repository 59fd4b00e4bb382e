//! What must hold between settings.

use std::net::IpAddr;

use ipnet::IpNet;
use skiff_report::{ExitCode, Reason};

use crate::{ClusterSpec, Limit, Mount, OnNode, PortMapping, format_bytes, spec::HA_CONTROL_PLANES, versions};

/// The least memory a control plane works with, as kubeadm demands it: 1700 MB, and some to spare.
const LEAST_MEMORY: u64 = 1800 << 20;
/// The least disk a node works with.
const LEAST_DISK: u64 = 2000 << 20;

/// One thing wrong with a cluster's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, named like its flag without the dashes.
    pub setting: &'static str,
    /// A sentence without its full stop.
    pub message: String,
    /// Reason id.
    pub id: &'static str,
    /// Exit code when this is the worst problem.
    pub exit: ExitCode,
}

impl Problem {
    /// A setting that makes no sense.
    #[must_use]
    pub fn usage(setting: &'static str, message: String) -> Self {
        Self { setting, message, id: "MK_USAGE", exit: ExitCode::PROGRAM_USAGE }
    }

    /// The reason a command that meets these problems ends with: the first one's.
    #[must_use]
    pub fn reason(problems: &[Self]) -> Reason {
        let (id, exit) = problems.first().map_or(("MK_USAGE", ExitCode::PROGRAM_USAGE), |first| (first.id, first.exit));
        Reason::new(id, exit, "Correct the settings above; `skiff start --help` describes them.")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--{}: {}", self.setting, self.message)
    }
}

impl ClusterSpec {
    /// Every problem of this configuration; empty = it can be built.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.validate_size(&mut problems);
        self.validate_version(&mut problems);
        self.validate_networks(&mut problems);
        self.validate_ports(&mut problems);
        self.validate_mounts(&mut problems);
        self.validate_nodes(&mut problems);
        problems
    }

    fn validate_size(&self, problems: &mut Vec<Problem>) {
        if let Limit::Exactly(bytes) = self.memory
            && bytes < LEAST_MEMORY
        {
            problems.push(Problem {
                setting: "memory",
                message: format!(
                    "{} is too little for a control plane: use at least {}",
                    format_bytes(bytes),
                    format_bytes(LEAST_MEMORY)
                ),
                id: "RSRC_INSUFFICIENT_REQ_MEMORY",
                exit: ExitCode::INSUFFICIENT_MEMORY,
            });
        }
        if let Limit::Exactly(cpus) = self.cpus
            && cpus < 1.0
        {
            problems.push(Problem {
                setting: "cpus",
                message: format!("{cpus} is too little for a control plane: use at least 1"),
                id: "RSRC_INSUFFICIENT_CORES",
                exit: ExitCode::INSUFFICIENT_CORES,
            });
        }
        if self.disk_size < LEAST_DISK {
            let least = format_bytes(LEAST_DISK);
            problems.push(Problem::usage(
                "disk-size",
                format!("{} is too little for a node: use at least {least}", format_bytes(self.disk_size)),
            ));
        }
    }

    fn validate_version(&self, problems: &mut Vec<Problem>) {
        let version = &self.kubernetes_version;
        if *version < versions::OLDEST {
            problems.push(Problem {
                setting: "kubernetes-version",
                message: format!("{version} is too old: the oldest that skiff can start is {}", versions::OLDEST),
                id: "K8S_OLD_UNSUPPORTED",
                exit: ExitCode::CONTROL_PLANE_UNSUPPORTED,
            });
        } else if version.minor() > versions::NEWEST_MINOR || *version >= crate::KubeVersion::new(2, 0, 0) {
            problems.push(Problem {
                setting: "kubernetes-version",
                message: format!(
                    "{version} is newer than this skiff knows: the newest minor is 1.{}",
                    versions::NEWEST_MINOR
                ),
                id: "K8S_NEW_UNSUPPORTED",
                exit: ExitCode::CONTROL_PLANE_UNSUPPORTED,
            });
        }
    }

    fn validate_networks(&self, problems: &mut Vec<Problem>) {
        let mut limit = |setting: &'static str, net: IpNet, longest: u8, shortest: u8| {
            if net.prefix_len() > longest || net.prefix_len() < shortest {
                let message = format!("{net} has a prefix of /{}: use /{shortest} to /{longest}", net.prefix_len());
                problems.push(Problem::usage(setting, message));
            }
        };
        // kube-apiserver takes at most 2^20 service addresses (IPv4).
        limit("service-cluster-ip-range", self.service_cidr.into(), 24, 12);
        limit("pod-network-cidr", self.pod_cidr.into(), 24, 8);
        if let Some(ipv6) = self.ipv6 {
            // Of IPv6 too.
            limit("service-cluster-ip-range", ipv6.services.into(), 120, 108);
            limit("pod-network-cidr", ipv6.pods.into(), 64, 16);
        }
        if let Some(subnet) = self.subnet {
            limit("subnet", subnet.into(), 28, 8);
            if !subnet.addr().is_private() {
                problems.push(Problem::usage("subnet", format!("{subnet} is not a private network (RFC 1918)")));
            }
        }
        if let Some(ip) = self.static_ip {
            match self.subnet {
                Some(subnet) if !subnet.contains(&ip) => {
                    problems.push(Problem::usage("static-ip", format!("{ip} is not in --subnet {subnet}")));
                }
                _ if !ip.is_private() => {
                    problems.push(Problem::usage("static-ip", format!("{ip} is not a private address (RFC 1918)")));
                }
                _ if matches!(ip.octets()[3], 0 | 1 | 255) => {
                    problems.push(Problem::usage(
                        "static-ip",
                        format!("{ip} is reserved: the last number must be 2 to 254"),
                    ));
                }
                _ => {}
            }
        }
        let (services, pods) = ("service-cluster-ip-range", "pod-network-cidr");
        let mut nets: Vec<(&'static str, IpNet)> = vec![(services, self.service_cidr.into())];
        nets.push((pods, self.pod_cidr.into()));
        nets.extend(self.subnet.map(|subnet| ("subnet", subnet.into())));
        // Networks of different families have nothing in common.
        nets.extend(
            self.ipv6.into_iter().flat_map(|ipv6| [(services, ipv6.services.into()), (pods, ipv6.pods.into())]),
        );
        for (at, (setting, net)) in nets.iter().enumerate() {
            for (other_setting, other) in &nets[..at] {
                if net.contains(other) || other.contains(net) {
                    problems.push(Problem::usage(setting, format!("{net} overlaps with --{other_setting} {other}")));
                }
            }
        }
    }

    fn validate_nodes(&self, problems: &mut Vec<Problem>) {
        if self.ha && self.nodes < HA_CONTROL_PLANES {
            let message =
                format!("{} are too few for --ha, which makes {HA_CONTROL_PLANES} control planes", self.nodes);
            problems.push(Problem::usage("nodes", message));
        }
        if self.node_pod_cidr(self.nodes - 1).is_none() {
            let message = format!("{} is too small for {} nodes: each takes a /24 of it", self.pod_cidr, self.nodes);
            problems.push(Problem::usage("pod-network-cidr", message));
        }
        let pods_of_one = |ipv6: crate::Ipv6Networks| ipv6.pods.prefix_len() <= crate::Ipv6Networks::OF_NODE;
        if self.ipv6.is_some_and(pods_of_one) && self.node_pod_ipv6(self.nodes - 1).is_none() {
            let message = format!("{} is too small for {} nodes: each takes a /64 of it", self.pod_cidrs(), self.nodes);
            problems.push(Problem::usage("pod-network-cidr", message));
        }
        // Network, broadcast and the host's own address are not for nodes.
        if let Some(subnet) = self.subnet
            && u64::from(self.nodes) + 3 > 1_u64 << (32 - subnet.prefix_len())
        {
            problems.push(Problem::usage("subnet", format!("{subnet} is too small for {} nodes", self.nodes)));
        }
    }

    fn validate_ports(&self, problems: &mut Vec<Problem>) {
        if [22, 2379, 2380, 2381, 10248, 10249, 10250, 10251, 10252, 10256, 10257, 10259].contains(&self.apiserver.port)
        {
            let message = format!("{} is used by another part of the control plane", self.apiserver.port);
            problems.push(Problem::usage("apiserver-port", message));
        }
        if let IpAddr::V4(ip) = self.listen_address
            && ip.is_broadcast()
        {
            problems.push(Problem::usage("listen-address", format!("{ip} is a broadcast address")));
        }
        for (at, mapping) in self.ports.iter().enumerate() {
            let end = |port: &OnNode<PortMapping>| (port.value.host_ip, port.value.host_port, port.value.protocol);
            if let Some(other) = self.ports[..at].iter().find(|other| end(other) == end(mapping)) {
                problems.push(Problem::usage("ports", format!("{mapping} and {other} want the same port of the host")));
            }
        }
    }

    fn validate_mounts(&self, problems: &mut Vec<Problem>) {
        for (at, mount) in self.mounts.iter().enumerate() {
            let same = |other: &&OnNode<Mount>| {
                let meet = other.node.is_none() || mount.node.is_none() || other.node == mount.node;
                meet && other.value.node == mount.value.node
            };
            if let Some(other) = self.mounts[..at].iter().find(same) {
                let message = format!("{mount} and {other} want the same place in the node");
                problems.push(Problem::usage("mounts", message));
            }
        }
    }
}
