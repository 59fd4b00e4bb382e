//! The flags that say what a cluster shall be. Their values stay text: the configuration crate
//! reads and checks them, all at once.

use skiff_config::SpecFile;

/// One flag for each setting of a cluster.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct SpecArgs {
    /// What nodes are made of: docker, or auto for the first that works.
    #[arg(long, visible_alias = "vm-driver", value_name = "NAME")]
    driver: Option<String>,
    /// Kubernetes version, such as v1.20.2, 1.20 or stable.
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,
    /// Processors a node may use: a number, max or no-limit.
    #[arg(long, value_name = "N")]
    cpus: Option<String>,
    /// Memory a node may use, such as 4g or 4096m, or max or no-limit.
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Disk a node may use, where the driver can limit it.
    #[arg(long, value_name = "SIZE")]
    disk_size: Option<String>,
    /// Setting of a part of Kubernetes, such as kubelet.max-pods=20; may be given more than once.
    #[arg(long, value_name = "COMPONENT.KEY=VALUE")]
    extra_config: Option<Vec<String>>,
    /// Feature gates, such as Name=true,Other=false.
    #[arg(long, value_name = "GATES", value_delimiter = ',')]
    feature_gates: Option<Vec<String>>,
    /// Port of the API server inside the node.
    #[arg(long, value_name = "PORT", help_heading = "API server")]
    apiserver_port: Option<String>,
    /// More DNS names for the API server's certificate.
    #[arg(long, visible_alias = "apiserver-name", value_name = "NAMES", value_delimiter = ',')]
    #[arg(help_heading = "API server")]
    apiserver_names: Option<Vec<String>>,
    /// More addresses for the API server's certificate.
    #[arg(long, value_name = "IPS", value_delimiter = ',', help_heading = "API server")]
    apiserver_ips: Option<Vec<String>>,
    /// Addresses of services.
    #[arg(long, value_name = "CIDR", help_heading = "Network")]
    service_cluster_ip_range: Option<String>,
    /// Addresses of pods.
    #[arg(long, value_name = "CIDR", help_heading = "Network")]
    pod_network_cidr: Option<String>,
    /// The cluster's DNS domain.
    #[arg(long, value_name = "DOMAIN", help_heading = "Network")]
    dns_domain: Option<String>,
    /// Subnet of the nodes; a free one is found if not given.
    #[arg(long, value_name = "CIDR", help_heading = "Network")]
    subnet: Option<String>,
    /// Address of the first node.
    #[arg(long, value_name = "IP", help_heading = "Network")]
    static_ip: Option<String>,
    /// Address of this host that published ports listen on.
    #[arg(long, value_name = "IP", help_heading = "Network")]
    listen_address: Option<String>,
    /// Ports of this host that lead to the first node, such as 8080:30080 or 127.0.0.1:80:80/tcp; to another
    /// one with its name in front, as in m02:8081:80.
    /// Given without a value they are taken back, as with all lists.
    #[arg(long, value_name = "PORTS", value_delimiter = ',', help_heading = "Network")]
    ports: Option<Vec<String>>,
    /// Folder of this host that nodes see, such as /src:/data or /src:/data:ro; one node alone with its name in
    /// front, as in m02:/src:/data. May be given more than once.
    #[arg(long, visible_alias = "mount-string", value_name = "HOST:NODE", help_heading = "Nodes")]
    mounts: Option<Vec<String>>,
    /// How many nodes to make, control planes included.
    #[arg(short, long, value_name = "N", help_heading = "Nodes")]
    nodes: Option<String>,
    /// Make three control planes, so that the cluster survives the loss of one.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = "Nodes")]
    ha: Option<String>,
    /// Labels of all nodes, such as disk=fast, or of one, as in m02:disk=fast.
    #[arg(long, value_name = "LABELS", value_delimiter = ',', help_heading = "Nodes")]
    node_labels: Option<Vec<String>>,
    /// Taints of all nodes, such as gpu=yes:NoSchedule, or of one, as in m02:gpu=yes:NoSchedule.
    #[arg(long, value_name = "TAINTS", value_delimiter = ',', help_heading = "Nodes")]
    node_taints: Option<Vec<String>>,
    /// Pause the cluster when its API and published ports were not used for this long, such as 5m, until they
    /// are used again; 0 is never. On Linux, for use from this host.
    #[arg(long, value_name = "TIME", help_heading = "Cluster")]
    auto_pause_interval: Option<String>,
    /// How long certificates are good for, such as 8760h; a start issues new ones before their end.
    #[arg(long, value_name = "TIME", help_heading = "Cluster")]
    cert_expiration: Option<String>,
    /// Let etcd go on without waiting for the disk: faster, but a crash of this host may lose all data.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = "Cluster")]
    etcd_unsafe_fsync: Option<String>,
    /// Network of pods: bridge, none, flannel, calico, cilium, or a file or URL of manifests.
    #[arg(long, value_name = "NETWORK", help_heading = "Network")]
    cni: Option<String>,
    /// Addresses of pods and services: ipv4, or dual for IPv4 and IPv6.
    #[arg(long, value_name = "FAMILY", help_heading = "Network")]
    ip_family: Option<String>,
}

impl From<SpecArgs> for SpecFile {
    fn from(args: SpecArgs) -> Self {
        Self {
            driver: args.driver,
            kubernetes_version: args.kubernetes_version,
            cpus: args.cpus,
            memory: args.memory,
            disk_size: args.disk_size,
            apiserver_port: args.apiserver_port,
            apiserver_names: list(args.apiserver_names),
            apiserver_ips: list(args.apiserver_ips),
            extra_config: list(args.extra_config),
            feature_gates: list(args.feature_gates),
            service_cluster_ip_range: args.service_cluster_ip_range,
            pod_network_cidr: args.pod_network_cidr,
            dns_domain: args.dns_domain,
            subnet: args.subnet,
            static_ip: args.static_ip,
            listen_address: args.listen_address,
            ports: list(args.ports),
            mounts: list(args.mounts),
            nodes: args.nodes,
            ha: args.ha,
            cni: args.cni,
            ip_family: args.ip_family,
            node_labels: list(args.node_labels),
            node_taints: list(args.node_taints),
            auto_pause_interval: args.auto_pause_interval,
            cert_expiration: args.cert_expiration,
            etcd_unsafe_fsync: args.etcd_unsafe_fsync,
        }
    }
}

/// A list without what is empty: `--ports=` is a list of nothing.
fn list(values: Option<Vec<String>>) -> Option<Vec<String>> {
    values.map(|values| values.into_iter().filter(|value| !value.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Args;

    use super::*;

    #[test]
    fn every_setting_of_a_cluster_has_a_flag() {
        let flags: BTreeSet<String> = SpecArgs::augment_args(clap::Command::new("x"))
            .get_arguments()
            .filter_map(|arg| arg.get_long().map(|long| long.replace('-', "")))
            .collect();
        let all = "driver kubernetesVersion cpus memory diskSize apiserverPort apiserverNames apiserverIps extraConfig \
                   featureGates serviceClusterIpRange podNetworkCidr dnsDomain subnet staticIp listenAddress ports \
                   mounts nodes ha cni ipFamily nodeLabels nodeTaints autoPauseInterval certExpiration etcdUnsafeFsync";
        let fields: BTreeSet<String> = all.split_whitespace().map(str::to_lowercase).collect();
        assert_eq!(flags, fields);
    }
}
