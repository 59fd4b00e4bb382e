//! A machine as it is kept in a file.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{NodeRole, NodeSpec};

use crate::{PortForward, SharedFolder, VmError};

/// What is known about a node, whether its machine is there or only what it stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineRecord {
    cluster: String,
    name: String,
    role: String,
    /// Its address, for life.
    pub address: Ipv4Addr,
    /// The cluster's addresses.
    pub subnet: Ipv4Net,
    /// Key of the image it was made from; absent when the machine is gone and its data kept.
    pub image: Option<String>,
    /// True once it has been started.
    pub started: bool,
    /// Processors.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Forwarded ports.
    pub ports: Vec<PortForward>,
    /// Folders of the host that it sees.
    #[serde(default)]
    pub folders: Vec<SharedFolder>,
    /// Number of empty disks beside its own.
    #[serde(default)]
    pub extra_disks: u32,
    /// The marks of its spec.
    #[serde(default)]
    pub marks: BTreeMap<String, String>,
    /// What only the driver understands, e.g. a path of a firmware.
    #[serde(default)]
    pub driver: BTreeMap<String, String>,
}

impl MachineRecord {
    /// The record of a machine that is about to be made.
    #[must_use]
    pub fn of(spec: &NodeSpec) -> Self {
        Self {
            cluster: spec.cluster.to_string(),
            name: spec.name.to_string(),
            role: spec.role.to_string(),
            address: spec.address,
            subnet: spec.network.subnet,
            image: Some(spec.image.clone()),
            started: false,
            cpus: spec.resources.cpus,
            memory: spec.resources.memory,
            ports: spec.published.iter().map(PortForward::from).collect(),
            folders: spec.mounts.iter().map(SharedFolder::from).collect(),
            extra_disks: 0,
            marks: spec.marks.clone(),
            driver: BTreeMap::new(),
        }
    }

    /// The cluster it belongs to.
    ///
    /// # Errors
    /// When somebody wrote nonsense into the file.
    pub fn cluster(&self) -> Result<ClusterName, VmError> {
        self.cluster.parse().map_err(|_| damaged(&self.cluster))
    }

    /// Its name.
    ///
    /// # Errors
    /// When somebody wrote nonsense into the file.
    pub fn name(&self) -> Result<NodeName, VmError> {
        self.name.parse().map_err(|_| damaged(&self.name))
    }

    /// What it does.
    #[must_use]
    pub fn role(&self) -> NodeRole {
        NodeRole::parse(&self.role).unwrap_or(NodeRole::Worker)
    }

    /// True if it belongs to the cluster.
    #[must_use]
    pub fn belongs_to(&self, cluster: &ClusterName) -> bool {
        self.cluster == cluster.as_str()
    }

    /// Whole processors: a machine cannot have a part of one.
    #[must_use]
    pub fn processors(&self, all: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        self.cpus.map_or(all, |cpus| (cpus.ceil() as u32).max(1))
    }
}

fn damaged(word: &str) -> VmError {
    let source = serde::de::Error::custom(format!("`{word}` is no name"));
    VmError::Record { path: "machine.json".into(), source }
}
