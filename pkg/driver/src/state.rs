//! What a node is.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use skiff_config::{ClusterName, NodeName};

use crate::NodeRole;

/// What the machine is doing, as its back end tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Made, but never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Off.
    Stopped,
    /// Gone, although what it stored is still there.
    Missing,
    /// The back end calls it broken.
    Broken,
}

/// A node as its back end knows it, without any file of skiff's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Its name.
    pub name: NodeName,
    /// What it does.
    pub role: NodeRole,
    /// What the machine is doing.
    pub state: MachineState,
    /// Its address in the cluster's network.
    pub address: Option<Ipv4Addr>,
    /// Key of the node image it was made from.
    pub image: Option<String>,
    /// The marks it was made with, also when its machine is gone.
    pub marks: BTreeMap<String, String>,
    /// Names of its snapshots, where they would be lost if its machine were made anew.
    pub snapshots: Vec<String>,
    /// Why its machine is halted though nobody has frozen it, and what to do about it.
    pub trouble: Option<String>,
}

/// Where a running node answers, as seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// Its sshd.
    pub ssh: SocketAddr,
    /// Its API server; absent on workers.
    pub apiserver: Option<SocketAddr>,
}
