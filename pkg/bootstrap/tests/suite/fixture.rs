//! The clusters and nodes that tests render.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use skiff_bootstrap::{
    BootstrapToken, CgroupVersion, ClusterConfig, Endpoint, HostFacts, NodeConfig, NodeIpv6, Reserved, Role,
};
use skiff_config::{ClusterSpec, SpecFile, versions};

/// One row a minor.
pub(crate) fn minors() -> impl Iterator<Item = u64> {
    versions::IMAGE_TAGS.iter().map(|row| row.minor)
}

/// What a test renders: a cluster as people get it by default, one with every setting used, or one
/// that speaks both families of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Default,
    Rich,
    Dual,
}

impl Flavour {
    pub(crate) const ALL: [Self; 3] = [Self::Default, Self::Rich, Self::Dual];

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Rich => "-rich",
            Self::Dual => "-dual",
        }
    }
}

pub(crate) fn spec(minor: u64, flavour: Flavour) -> ClusterSpec {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let mut file = SpecFile { kubernetes_version: Some(format!("v1.{minor}")), ..SpecFile::default() };
    if flavour == Flavour::Rich {
        file.apiserver_port = Some("6443".to_owned());
        file.apiserver_names = words(&["api.example.org", "*.dev.example.org"]);
        file.apiserver_ips = words(&["203.0.113.7", "2001:db8::7"]);
        file.dns_domain = Some("corp.example".to_owned());
        file.service_cluster_ip_range = Some("172.20.0.0/16".to_owned());
        file.pod_network_cidr = Some("10.100.0.0/16".to_owned());
        file.feature_gates = words(&["EphemeralContainers=true", "CSIMigration=false", "EtcdLearnerMode=true"]);
        file.extra_config = words(&[
            "apiserver.v=5",
            "apiserver.enable-admission-plugins=NodeRestriction,AlwaysPullImages",
            "apiserver.feature-gates=Ours=true",
            "controller-manager.horizontal-pod-autoscaler-sync-period=5s",
            "controller-manager.leader-elect=true",
            "scheduler.v=yes",
            "etcd.quota-backend-bytes=8589934592",
            "kubelet.max-pods=42",
            "kubelet.maxPods=43",
            "kubelet.evictionHard.memory.available=200Mi",
            "kubelet.systemReserved.cpu=1",
            "kubelet.authentication.anonymous.enabled=true",
            "kubelet.allowedUnsafeSysctls=kernel.msg*,net.core.somaxconn",
            "kube-proxy.mode=ipvs",
            "kube-proxy.conntrack.maxPerCore=1024",
            "kube-proxy.nodePortAddresses=127.0.0.0/8",
            "kubeadm.ignore-preflight-errors=Hostname",
        ]);
    }
    if flavour == Flavour::Dual {
        file.ip_family = Some("dual".to_owned());
    }
    file.resolve("demo".parse().unwrap()).unwrap()
}

pub(crate) fn token() -> BootstrapToken {
    BootstrapToken::from_bytes(*b"skiff golden token fil")
}

pub(crate) fn cluster(minor: u64, flavour: Flavour) -> ClusterConfig {
    let spec = spec(minor, flavour);
    let host = match flavour {
        Flavour::Default | Flavour::Dual => "192.168.76.2",
        Flavour::Rich => "control-plane.skiff.internal",
    };
    let endpoint = Endpoint { host: host.to_owned(), port: spec.apiserver.port };
    let mut cluster = ClusterConfig::new(spec, endpoint, token()).unwrap();
    if flavour == Flavour::Rich {
        cluster.control_planes = 3;
        cluster.coredns = true;
        cluster.leaf_validity = Duration::from_hours(48);
    }
    cluster
}

pub(crate) fn node(cluster: &ClusterConfig, role: Role, flavour: Flavour) -> NodeConfig {
    let index = match role {
        Role::FirstControlPlane => 0,
        Role::ControlPlane => 1,
        Role::Worker => 2,
    };
    let address = Ipv4Addr::new(192, 168, 76, 2 + u8::try_from(index).unwrap());
    let pod_cidr = cluster.spec.node_pod_cidr(index).unwrap();
    let cgroups = match flavour {
        Flavour::Default | Flavour::Dual => CgroupVersion::V1,
        Flavour::Rich => CgroupVersion::V2,
    };
    let host = HostFacts::container(cgroups);
    let mut node = NodeConfig::new(cluster.spec.name.node(index), address, role, pod_cidr, host);
    let pods = cluster.spec.node_pod_ipv6(index);
    let beside = skiff_config::ipv6_address("192.168.76.0/24".parse().unwrap(), address);
    node.ipv6 = pods.map(|pods| NodeIpv6 { address: beside, pods });
    node.resolv_conf = Some("/run/skiff/resolv.conf".to_owned());
    if flavour == Flavour::Rich {
        node.schedulable = false;
        node.labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("disk".to_owned(), "fast".to_owned())]);
        node.resolv_conf = None;
        node.taints = vec!["gpu=yes:NoSchedule".parse().unwrap(), "old:NoExecute".parse().unwrap()];
        node.reserved = Reserved { millicpus: 2500, memory: 10 << 30 };
        node.mtu = Some(1400);
    }
    node
}
