//! What skiff decided while making a cluster, and keeps because nobody else could tell.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::NodeName;

/// What skiff decided while making the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Status {
    /// How far the cluster got.
    pub phase: Phase,
    /// The driver that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The nodes' subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Ipv4Net>,
    /// The nodes, first one first.
    pub nodes: Vec<NodeRecord>,
    /// The one way to all control planes. Once there, it stays for as long as the cluster: kubeconfigs
    /// that people have copied lead there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrance: Option<EntranceRecord>,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// Where a cluster's one way to its control planes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EntranceRecord {
    /// Its address among the nodes.
    pub address: Ipv4Addr,
    /// Port on the host that leads to it.
    pub port: u16,
}

/// How far a cluster got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It is being made; nobody has used it yet, so a failure may undo it.
    #[default]
    Creating,
    /// It was usable once; its data must be kept.
    Created,
}

/// A node's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// `control-plane` or `worker`.
    pub role: String,
    /// Its number; decides pod addresses.
    pub index: u32,
    /// Its address.
    pub address: Ipv4Addr,
    /// Port on the host that leads to its sshd.
    pub ssh_port: u16,
    /// Labels of its own, beside those of the whole cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints it registers with, each as `key=value:Effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<String>,
    /// Port on the host that leads to its API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apiserver_port: Option<u16>,
    /// Key of the node image it was made from.
    pub image: String,
    /// The image of skiff-agent that lies in that node image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// When its machine was made, RFC 3339: its certificates count from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// Bytes of memory it got where nobody asked for an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// What its machine's host had to give when it was made: what the node must not use is that less
    /// its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostSize>,
    /// What it may use of its host, as its machine was last told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limits: String,
    /// Fingerprint of the settings that were brought into it, written when kubeadm was done; empty
    /// until then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub applied: String,
}

/// Processors and memory of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostSize {
    /// Processors.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory: u64,
}
