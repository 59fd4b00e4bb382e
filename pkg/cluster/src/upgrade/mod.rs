//! Upgrades: the steps from one version to another, pure.
//!
//! Kubernetes' rules for versions that live together decide the order: a cluster moves one minor at
//! a time, its control planes first and one by one, its workers after them, each drained. No part
//! is ever newer than the API servers, and every state between two steps is one that Kubernetes
//! supports, so that an upgrade may stop anywhere and go on later.

mod error;
mod notes;
pub(crate) mod record;

use std::{collections::BTreeMap, fmt};

use skiff_config::{ClusterName, KubeVersion, NodeName, versions};
use skiff_store::Store;
use thiserror::Error;

pub use error::UpgradeError;
pub(crate) use record::refuse_half_way;
pub use record::upgrade_under_way;

use crate::ClusterError;

/// A node and what runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeNode {
    /// The node.
    pub name: NodeName,
    /// Whether it runs a control plane.
    pub control_plane: bool,
    /// Version of its kubelet, and of its control plane if it has one.
    pub version: KubeVersion,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeStep {
    /// Something the user should know before this version, e.g. an API that goes.
    Note {
        /// The version.
        version: KubeVersion,
        /// What.
        text: &'static str,
    },
    /// Get the node image of a version.
    Image(KubeVersion),
    /// From here on a failure is undone: each node keeps what it has before it is changed.
    Begin {
        /// The version to go back to.
        from: KubeVersion,
        /// The version to go to.
        to: KubeVersion,
    },
    /// Move pods away from a node.
    Drain(NodeName),
    /// Bring the first control plane, and with it the cluster's settings, to a version.
    Apply {
        /// The node.
        node: NodeName,
        /// The version.
        version: KubeVersion,
    },
    /// Bring another node to the version that the cluster has.
    Follow {
        /// The node.
        node: NodeName,
        /// The version.
        version: KubeVersion,
    },
    /// Let pods come back to a node.
    Uncordon(NodeName),
    /// Wait until everything is Ready at a version.
    Verify(KubeVersion),
}

impl fmt::Display for UpgradeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note { version, text } => write!(f, "note      {version}: {text}"),
            Self::Image(version) => write!(f, "image     get the node image of Kubernetes {version}"),
            Self::Begin { from, to } => write!(f, "begin     {from} -> {to}; what fails from here on is undone"),
            Self::Drain(node) => write!(f, "drain     {node}"),
            Self::Apply { node, version } => write!(f, "apply     {node}: control plane and kubelet to {version}"),
            Self::Follow { node, version } => write!(f, "follow    {node}: to {version}"),
            Self::Uncordon(node) => write!(f, "uncordon  {node}"),
            Self::Verify(version) => write!(f, "verify    kube-proxy, addons and all nodes at {version}"),
        }
    }
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoUpgrade {
    /// The cluster would become older.
    #[error("{to} is older than {from}: what a newer version has stored, an older one cannot read")]
    Downgrade {
        /// What the cluster has.
        from: KubeVersion,
        /// What was asked.
        to: KubeVersion,
    },
    /// Nobody knows that version.
    #[error("{0} is newer than this skiff knows")]
    TooNew(KubeVersion),
    /// There is no control plane to begin with.
    #[error("the cluster has no control plane")]
    NoControlPlane,
    /// A node is newer than the API server, or too old for it.
    #[error("node {node} runs {version}, which cannot be together with an API server of {server}")]
    Skew {
        /// The node.
        node: NodeName,
        /// Its version.
        version: KubeVersion,
        /// The API server's.
        server: KubeVersion,
    },
}

/// How many minors a kubelet may be behind its API server: three since 1.28, two before.
#[must_use]
pub fn kubelet_skew(server: &KubeVersion) -> u64 {
    if server.at_least(28) { 3 } else { 2 }
}

/// Whether a node may be in a cluster whose oldest API server is this one.
#[must_use]
pub fn may_join(kubelet: &KubeVersion, server: &KubeVersion) -> bool {
    kubelet.minor() <= server.minor() && server.minor() - kubelet.minor() <= kubelet_skew(server)
}

/// The steps that bring a cluster to a version; none if it has it. Nodes that an upgrade which was
/// cut off has left behind are brought along first.
///
/// # Errors
/// Why there is no way.
pub fn plan_upgrade(nodes: &[UpgradeNode], to: &KubeVersion) -> Result<Vec<UpgradeStep>, NoUpgrade> {
    if to.minor() > versions::NEWEST_MINOR {
        return Err(NoUpgrade::TooNew(to.clone()));
    }
    let planes = || nodes.iter().filter(|node| node.control_plane);
    let newest = planes().map(|node| &node.version).max().ok_or(NoUpgrade::NoControlPlane)?.clone();
    let oldest = planes().map(|node| &node.version).min().ok_or(NoUpgrade::NoControlPlane)?;
    if *to < newest {
        return Err(NoUpgrade::Downgrade { from: newest, to: to.clone() });
    }
    for node in nodes {
        let alone = !node.control_plane && node.version > *oldest && node.version.minor() > oldest.minor();
        let apart = node.control_plane && newest.minor() - node.version.minor() > 1;
        if alone || apart || !may_join(&node.version, &newest) {
            let (name, version) = (node.name.clone(), node.version.clone());
            return Err(NoUpgrade::Skew { node: name, version, server: newest });
        }
    }
    let mut state: BTreeMap<&NodeName, KubeVersion> =
        nodes.iter().map(|node| (&node.name, node.version.clone())).collect();
    let mut steps = Vec::new();
    for version in stops(&newest, to) {
        if state.values().all(|have| *have == version) {
            continue;
        }
        hop(nodes, &mut state, &newest, &version, &mut steps);
    }
    Ok(steps)
}

/// The versions to stop at: what the cluster has, should some nodes lag, the newest release of each
/// minor between, and the end.
fn stops(from: &KubeVersion, to: &KubeVersion) -> Vec<KubeVersion> {
    let between = (from.minor() + 1..to.minor()).map(|minor| KubeVersion::new(1, minor, versions::newest_patch(minor)));
    let mut stops = vec![from.clone()];
    stops.extend(between);
    if to != from {
        stops.push(to.clone());
    }
    stops
}

/// The steps to one version, from at most one minor below.
fn hop<'a>(
    nodes: &'a [UpgradeNode],
    state: &mut BTreeMap<&'a NodeName, KubeVersion>,
    newest: &KubeVersion,
    version: &KubeVersion,
    steps: &mut Vec<UpgradeStep>,
) {
    let from = state.values().max().unwrap_or(newest).clone();
    if from.minor() < version.minor() {
        let note = |text| UpgradeStep::Note { version: version.clone(), text };
        steps.extend(notes::of(version.minor()).map(note));
    }
    steps.push(UpgradeStep::Image(version.clone()));
    let from = state.values().min().unwrap_or(newest).clone();
    steps.push(UpgradeStep::Begin { from, to: version.clone() });
    let (planes, workers): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.control_plane);
    let alone = nodes.len() == 1;
    let mut applied = planes.iter().any(|node| state.get(&node.name) == Some(version));
    for node in planes.into_iter().chain(workers) {
        if state.get(&node.name) == Some(version) {
            continue;
        }
        // Pods of the only node have nowhere to go.
        if !alone {
            steps.push(UpgradeStep::Drain(node.name.clone()));
        }
        let (name, to) = (node.name.clone(), version.clone());
        steps.push(if applied {
            UpgradeStep::Follow { node: name, version: to }
        } else {
            UpgradeStep::Apply { node: name, version: to }
        });
        applied = true;
        state.insert(&node.name, version.clone());
        if !alone {
            steps.push(UpgradeStep::Uncordon(node.name.clone()));
        }
    }
    steps.push(UpgradeStep::Verify(version.clone()));
}

/// The steps that an upgrade of a stored cluster would take, from the files alone; those that are left
/// of one that was cut off.
///
/// # Errors
/// When there is no such cluster, or no way.
pub fn planned_upgrade(store: &Store, name: &ClusterName, to: &KubeVersion) -> Result<Vec<UpgradeStep>, ClusterError> {
    let file = store.load(name)?.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let under_way = upgrade_under_way(store, name)?;
    let nodes = record::nodes(&file, &spec.kubernetes_version, under_way.as_ref());
    Ok(plan_upgrade(&nodes, to)?)
}

#[cfg(test)]
mod tests;
