//! Snapshots: all nodes of a cluster as they were at one moment.
//!
//! Nodes that run are frozen together, kept one beside the other, and go on: so no node knows of
//! anything that another does not. Which nodes belong together, and what each was doing, are marks of
//! the nodes' own snapshots.

mod error;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use futures_util::future::{join_all, try_join_all};
use skiff_config::{ClusterFile, ClusterName, NodeName};
use skiff_driver::{Capabilities, Driver, MachineState, NodeStatus, Snapshot, SnapshotKind, SnapshotName, Snapshots};
use skiff_report::Event;

pub use self::error::SnapshotError;
use crate::{
    ClusterError, ConnectApi, Host, ServiceApi, host::driver_error, pause, services, upgrade::refuse_half_way,
};

/// How long an API server that is back may take to answer.
const API_PATIENCE: Duration = Duration::from_mins(3);

/// The names of all nodes, in each one's marks.
const NODES: &str = "nodes";
/// What the node was doing: one of the words of [`word`].
const WAS: &str = "was";
/// What was paused.
const PAUSED: &str = "paused";

/// A snapshot of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken.
    pub taken: SystemTime,
    /// True if nodes go on where they were.
    pub memory: bool,
    /// Bytes that it takes.
    pub size: u64,
    /// Names of its nodes.
    pub nodes: Vec<String>,
    /// False if a node is missing: the saving was cut off, or the node was deleted since.
    pub complete: bool,
}

/// Keeps a cluster as it is, running, paused or off. One that runs is frozen meanwhile.
///
/// # Errors
/// When there is no such cluster, the driver has no snapshots, the name is taken, or there is no room.
pub async fn save_snapshot<D: Snapshots, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    name: &SnapshotName,
) -> Result<ClusterSnapshot, ClusterError> {
    let _lock = host.lock(cluster).await?;
    let kind = kind(host).await?;
    let file = host.load(cluster)?;
    refuse_half_way(&host.store, cluster)?;
    let nodes = whole(host, &file).await?;
    let before = kept(host, cluster, &nodes).await?;
    if before.get(name).is_some_and(complete) {
        return Err(SnapshotError::Exists { cluster: cluster.clone(), name: name.clone() }.into());
    }
    let names: Vec<String> = nodes.iter().map(|node| node.name.to_string()).collect();
    let paused = pause::marker(&host.store, cluster)?.unwrap_or_default();
    let marks = |node: &NodeStatus| {
        let words = [(NODES, names.join(" ")), (WAS, word(node.state).to_owned()), (PAUSED, paused.join(" "))];
        words.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>()
    };
    stage(host, 0, "Saving", format!("Saving cluster `{cluster}` as `{name}`"));
    let running: Vec<&NodeName> = in_state(&nodes, MachineState::Running).collect();
    if !running.is_empty() {
        // Should skiff be killed, `start` and `unpause` know what to do.
        pause::mark(&host.store, cluster, paused.iter().cloned().chain([pause::ALL.to_owned()]))?;
    }
    let saved = async {
        forget(host, cluster, &nodes, name).await?;
        try_join_all(running.iter().map(|node| host.driver.pause(cluster, node))).await?;
        try_join_all(
            nodes.iter().map(async |node| host.driver.save_snapshot(cluster, &node.name, name, &marks(node)).await),
        )
        .await
    };
    let saved = saved.await.map_err(driver_error);
    let thawed = try_join_all(running.iter().map(|node| host.driver.start(cluster, node))).await;
    if saved.is_err() {
        // A part of a snapshot is none.
        if let Err(error) = forget(host, cluster, &nodes, name).await {
            host.reporter.warn(&format!("what was saved already stays: {error}"));
        }
    }
    thawed.map_err(driver_error)?;
    pause::mark(&host.store, cluster, paused)?;
    saved?;
    let snapshot = kept(host, cluster, &nodes).await?.remove(name);
    // It may have been deleted by hand just now, which is as good as never saved.
    let snapshot = snapshot.ok_or_else(|| SnapshotError::NotFound {
        cluster: cluster.clone(),
        name: name.clone(),
        others: Vec::new(),
    })?;
    let snapshot = whole_of(name, &snapshot);
    let what = if snapshot.memory {
        "memory and disks"
    } else if running.is_empty() || kind == SnapshotKind::Memory {
        "disks"
    } else {
        "disks only: it starts anew when it is restored"
    };
    let size = if snapshot.size == 0 { String::new() } else { format!(", {} MiB", snapshot.size >> 20) };
    stage(host, 1, "Done", format!("Saved cluster `{cluster}` as `{name}`: {what}{size}"));
    Ok(snapshot)
}

/// Brings a cluster back to what it was. What it did since is lost.
///
/// # Errors
/// When there is no such cluster or snapshot, or it does not fit the cluster as it is now.
pub async fn restore_snapshot<D: Snapshots, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    name: &SnapshotName,
) -> Result<ClusterSnapshot, ClusterError> {
    let _lock = host.lock(cluster).await?;
    kind(host).await?;
    let file = host.load(cluster)?;
    refuse_half_way(&host.store, cluster)?;
    let nodes = whole(host, &file).await?;
    let all = kept(host, cluster, &nodes).await?;
    let Some(snapshot) = all.get(name) else {
        let others = all.keys().map(ToString::to_string).collect();
        return Err(SnapshotError::NotFound { cluster: cluster.clone(), name: name.clone(), others }.into());
    };
    let differences = differences(&nodes, snapshot);
    if !differences.is_empty() {
        return Err(SnapshotError::OtherNodes { cluster: cluster.clone(), name: name.clone(), differences }.into());
    }
    services::end_tunnel(host, cluster).await;
    stage(host, 0, "Restoring", format!("Restoring cluster `{cluster}` from `{name}`"));
    // Nothing may happen between one node that is back and another that is not yet.
    let running = in_state(&nodes, MachineState::Running);
    let paused: Vec<String> = words(snapshot, PAUSED).into_iter().collect();
    pause::mark(&host.store, cluster, paused.iter().cloned().chain([pause::ALL.to_owned()]))?;
    try_join_all(running.map(|node| host.driver.pause(cluster, node))).await.map_err(driver_error)?;
    let back = nodes.iter().map(|node| host.driver.restore_snapshot(cluster, &node.name, name));
    // Each is tried: a second call only has to repeat what failed.
    join_all(back).await.into_iter().collect::<Result<Vec<()>, _>>().map_err(driver_error)?;
    let on: Vec<&NodeName> = nodes
        .iter()
        .map(|node| &node.name)
        .filter(|node| {
            snapshot
                .get(*node)
                .and_then(|kept| kept.marks.get(WAS))
                .is_some_and(|was| was == word(MachineState::Running))
        })
        .collect();
    try_join_all(on.iter().map(|node| host.driver.start(cluster, node))).await.map_err(driver_error)?;
    pause::mark(&host.store, cluster, paused)?;
    let frozen = pause::freezes_api(&host.store, cluster)?;
    if !on.is_empty() && !frozen {
        pause::await_api(host, &file, API_PATIENCE).await;
    }
    let message = match (on.is_empty(), frozen) {
        (_, true) => format!("Restored cluster `{cluster}` from `{name}`: it is paused, as it was"),
        (true, false) => format!("Restored cluster `{cluster}` from `{name}`: it is off, as it was"),
        (false, false) => format!("Restored cluster `{cluster}` from `{name}`"),
    };
    stage(host, 1, "Done", message);
    Ok(whole_of(name, snapshot))
}

/// The snapshots of a cluster, ordered by name.
///
/// # Errors
/// When there is no such cluster, or the driver fails.
pub async fn list_snapshots<D: Snapshots, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
) -> Result<Vec<ClusterSnapshot>, ClusterError> {
    host.load(cluster)?;
    kind(host).await?;
    let nodes = machines(host, cluster).await?;
    let all = kept(host, cluster, &nodes).await?;
    Ok(all.iter().map(|(name, kept)| whole_of(name, kept)).collect())
}

/// Removes a snapshot. The cluster does not change by it.
///
/// # Errors
/// When there is no such cluster or snapshot, or the driver fails.
pub async fn delete_snapshot<D: Snapshots, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    name: &SnapshotName,
) -> Result<(), ClusterError> {
    let _lock = host.lock(cluster).await?;
    host.load(cluster)?;
    kind(host).await?;
    let nodes = machines(host, cluster).await?;
    let all = kept(host, cluster, &nodes).await?;
    if !all.contains_key(name) {
        let others = all.keys().map(ToString::to_string).collect();
        return Err(SnapshotError::NotFound { cluster: cluster.clone(), name: name.clone(), others }.into());
    }
    forget(host, cluster, &nodes, name).await.map_err(driver_error)?;
    stage(host, 1, "Done", format!("Deleted snapshot `{name}` of cluster `{cluster}`"));
    Ok(())
}

/// The snapshots of each name, by node.
type Kept = BTreeMap<SnapshotName, BTreeMap<NodeName, Snapshot>>;

async fn kept<D: Snapshots, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    nodes: &[NodeStatus],
) -> Result<Kept, ClusterError> {
    let listed = nodes.iter().map(|node| host.driver.list_snapshots(cluster, &node.name));
    let listed = try_join_all(listed).await.map_err(driver_error)?;
    let mut all = Kept::new();
    for (node, snapshots) in nodes.iter().zip(listed) {
        for snapshot in snapshots {
            all.entry(snapshot.name.clone()).or_default().insert(node.name.clone(), snapshot);
        }
    }
    Ok(all)
}

/// True if a snapshot can be restored as far as its nodes go: one that was cut off, or of which a node
/// was deleted since, is of no use.
fn complete(kept: &BTreeMap<NodeName, Snapshot>) -> bool {
    words(kept, NODES).iter().all(|node| kept.keys().any(|kept| kept.as_str() == node))
}

/// A word list that all nodes carry.
fn words(kept: &BTreeMap<NodeName, Snapshot>, key: &str) -> BTreeSet<String> {
    let text = kept.values().find_map(|snapshot| snapshot.marks.get(key));
    text.map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

fn whole_of(name: &SnapshotName, kept: &BTreeMap<NodeName, Snapshot>) -> ClusterSnapshot {
    ClusterSnapshot {
        name: name.clone(),
        taken: kept.values().map(|snapshot| snapshot.taken).max().unwrap_or(SystemTime::UNIX_EPOCH),
        memory: kept.values().any(|snapshot| snapshot.memory),
        size: kept.values().map(|snapshot| snapshot.size).sum(),
        nodes: kept.keys().map(ToString::to_string).collect(),
        complete: complete(kept),
    }
}

/// Which nodes the cluster has and the snapshot has not, and the other way round.
fn differences(nodes: &[NodeStatus], kept: &BTreeMap<NodeName, Snapshot>) -> Vec<String> {
    let now: BTreeSet<String> = nodes.iter().map(|node| node.name.to_string()).collect();
    let then = words(kept, NODES);
    let added = now.iter().filter(|node| !kept.keys().any(|kept| kept.as_str() == *node));
    let added = added.map(|node| format!("node {node} is not in it"));
    let gone = then.difference(&now).map(|node| format!("node {node} is gone since"));
    added.chain(gone).collect()
}

async fn forget<D: Snapshots, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    nodes: &[NodeStatus],
    name: &SnapshotName,
) -> Result<(), D::Error> {
    let forgotten = nodes.iter().map(|node| host.driver.delete_snapshot(cluster, &node.name, name));
    join_all(forgotten).await.into_iter().collect()
}

/// What the driver keeps; fails if it is nothing.
async fn kind<D: Driver, C, K>(host: &Host<D, C, K>) -> Result<SnapshotKind, ClusterError> {
    let Capabilities { snapshots, .. } = match host.capabilities {
        Some(capabilities) => capabilities,
        None => host.driver.check().await.map_err(driver_error)?,
    };
    if snapshots == SnapshotKind::None {
        return Err(SnapshotError::Unsupported { driver: host.driver.kind() }.into());
    }
    Ok(snapshots)
}

/// The nodes with machines, in any state.
async fn machines<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
) -> Result<Vec<NodeStatus>, ClusterError> {
    let mut nodes = host.driver.list(Some(cluster)).await.map_err(driver_error)?;
    nodes.retain(|node| node.state != MachineState::Missing);
    Ok(nodes)
}

/// The cluster's nodes, each of which runs or is at rest.
async fn whole<D: Driver, C, K>(host: &Host<D, C, K>, file: &ClusterFile) -> Result<Vec<NodeStatus>, ClusterError> {
    let cluster = &file.metadata.name;
    let nodes = host.driver.list(Some(cluster)).await.map_err(driver_error)?;
    let fine = |state| matches!(state, MachineState::Running | MachineState::Paused | MachineState::Stopped);
    let missing = file.status.nodes.iter().find(|record| !nodes.iter().any(|node| node.name == record.name));
    let bad = nodes.iter().find(|node| !fine(node.state)).map(|node| (node.name.clone(), node.state));
    if let Some((node, state)) = missing.map(|record| (record.name.clone(), MachineState::Missing)).or(bad) {
        return Err(SnapshotError::NodeState { cluster: cluster.clone(), node, state }.into());
    }
    if nodes.is_empty() {
        return Err(ClusterError::NotRunning(cluster.clone()));
    }
    Ok(nodes)
}

/// What a node does, as it is kept.
fn word(state: MachineState) -> &'static str {
    match state {
        MachineState::Running => "running",
        MachineState::Paused => "paused",
        _ => "off",
    }
}

fn in_state(nodes: &[NodeStatus], state: MachineState) -> impl Iterator<Item = &NodeName> {
    nodes.iter().filter(move |node| node.state == state).map(|node| &node.name)
}

fn stage<D, C, K>(host: &Host<D, C, K>, number: u8, name: &'static str, message: String) {
    host.reporter.report(Event::Stage { number, total: 1, name, message });
}
