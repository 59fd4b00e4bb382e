//! Settings over settings, and how they differ.

use std::collections::BTreeMap;

use super::SpecFile;
use crate::{ClusterName, versions};

/// The API server's port in the node, where none is asked for.
const API_PORT: &str = "8443";
/// Where published ports listen, likewise.
const LISTEN: &str = "127.0.0.1";

impl SpecFile {
    /// These settings laid over `below`: what is present here wins.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            driver: self.driver.or(below.driver),
            kubernetes_version: self.kubernetes_version.or(below.kubernetes_version),
            cpus: self.cpus.or(below.cpus),
            memory: self.memory.or(below.memory),
            disk_size: self.disk_size.or(below.disk_size),
            apiserver_port: self.apiserver_port.or(below.apiserver_port),
            apiserver_names: self.apiserver_names.or(below.apiserver_names),
            apiserver_ips: self.apiserver_ips.or(below.apiserver_ips),
            extra_config: self.extra_config.or(below.extra_config),
            feature_gates: self.feature_gates.or(below.feature_gates),
            service_cluster_ip_range: self.service_cluster_ip_range.or(below.service_cluster_ip_range),
            pod_network_cidr: self.pod_network_cidr.or(below.pod_network_cidr),
            dns_domain: self.dns_domain.or(below.dns_domain),
            subnet: self.subnet.or(below.subnet),
            static_ip: self.static_ip.or(below.static_ip),
            listen_address: self.listen_address.or(below.listen_address),
            ports: self.ports.or(below.ports),
            mounts: self.mounts.or(below.mounts),
            nodes: self.nodes.or(below.nodes),
            ha: self.ha.or(below.ha),
            cni: self.cni.or(below.cni),
            ip_family: self.ip_family.or(below.ip_family),
            node_labels: self.node_labels.or(below.node_labels),
            node_taints: self.node_taints.or(below.node_taints),
            cert_expiration: self.cert_expiration.or(below.cert_expiration),
            auto_pause_interval: self.auto_pause_interval.or(below.auto_pause_interval),
            etcd_unsafe_fsync: self.etcd_unsafe_fsync.or(below.etcd_unsafe_fsync),
        }
    }

    /// These settings in the place of those `stored` of a cluster: what is left out here, and can be
    /// changed, goes back to what `defaults` or skiff make it.
    #[must_use]
    pub fn in_place_of(self, stored: &Self, defaults: Self) -> Self {
        let text = |own: Option<String>, stored: &Option<String>, default: Option<String>, plain: &str| {
            own.or_else(|| stored.as_ref().map(|_| default.unwrap_or_else(|| plain.to_owned())))
        };
        let list = |own: Option<Vec<String>>, stored: &Option<Vec<String>>, default: Option<Vec<String>>| {
            own.or_else(|| stored.as_ref().map(|_| default.unwrap_or_default()))
        };
        let lifetime = format!("{}h", versions::CERT_EXPIRATION.as_secs() / 3600);
        Self {
            cpus: text(self.cpus, &stored.cpus, defaults.cpus, "auto"),
            memory: text(self.memory, &stored.memory, defaults.memory, "auto"),
            apiserver_port: text(self.apiserver_port, &stored.apiserver_port, defaults.apiserver_port, API_PORT),
            apiserver_names: list(self.apiserver_names, &stored.apiserver_names, defaults.apiserver_names),
            apiserver_ips: list(self.apiserver_ips, &stored.apiserver_ips, defaults.apiserver_ips),
            extra_config: list(self.extra_config, &stored.extra_config, defaults.extra_config),
            feature_gates: list(self.feature_gates, &stored.feature_gates, defaults.feature_gates),
            listen_address: text(self.listen_address, &stored.listen_address, defaults.listen_address, LISTEN),
            ports: list(self.ports, &stored.ports, defaults.ports),
            mounts: list(self.mounts, &stored.mounts, defaults.mounts),
            node_labels: list(self.node_labels, &stored.node_labels, defaults.node_labels),
            node_taints: list(self.node_taints, &stored.node_taints, defaults.node_taints),
            cert_expiration: text(self.cert_expiration, &stored.cert_expiration, defaults.cert_expiration, &lifetime),
            auto_pause_interval: text(
                self.auto_pause_interval,
                &stored.auto_pause_interval,
                defaults.auto_pause_interval,
                "0",
            ),
            etcd_unsafe_fsync: text(
                self.etcd_unsafe_fsync,
                &stored.etcd_unsafe_fsync,
                defaults.etcd_unsafe_fsync,
                "false",
            ),
            ..self
        }
    }

    /// The settings that are present here and differ from `other`, by name: `memory` → (`4g`, `2g`).
    #[must_use]
    pub fn differences(&self, other: &Self) -> BTreeMap<String, (String, String)> {
        let flat = |file: &Self| match serde_yaml::to_value(file) {
            Ok(serde_yaml::Value::Mapping(map)) => map,
            _ => serde_yaml::Mapping::new(),
        };
        let show = |value: Option<&serde_yaml::Value>| match value {
            None => String::new(),
            Some(serde_yaml::Value::String(text)) => text.clone(),
            Some(serde_yaml::Value::Sequence(items)) => {
                items.iter().filter_map(serde_yaml::Value::as_str).collect::<Vec<_>>().join(",")
            }
            Some(value) => format!("{value:?}"),
        };
        let theirs = flat(other);
        flat(self)
            .iter()
            .filter(|(key, value)| theirs.get(*key) != Some(*value))
            .map(|(key, value)| {
                (key.as_str().unwrap_or_default().to_owned(), (show(Some(value)), show(theirs.get(key))))
            })
            .collect()
    }

    /// The [`differences`](Self::differences) that make one: not those that say the same in other
    /// words, or what is so by default.
    #[must_use]
    pub fn real_differences(&self, other: &Self) -> BTreeMap<String, (String, String)> {
        let value = |file: &Self| serde_yaml::to_value(file).unwrap_or_default();
        let (mine, theirs) = (value(self), value(other));
        let meaning = |file: &Self| file.resolve(ClusterName::default()).ok();
        let makes_one = |key: &String| {
            let (Some(mine), Some(theirs)) = (mine.as_mapping(), theirs.as_mapping()) else { return true };
            let mut changed = theirs.clone();
            match mine.get(key) {
                Some(value) => changed.insert(key.as_str().into(), value.clone()),
                None => changed.remove(key),
            };
            let changed = serde_yaml::from_value::<Self>(serde_yaml::Value::Mapping(changed)).ok();
            changed.is_none_or(|changed| meaning(&changed).is_none() || meaning(&changed) != meaning(other))
        };
        let mut differences = self.differences(other);
        differences.retain(|key, _| makes_one(key));
        differences
    }
}
