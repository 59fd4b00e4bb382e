//! Snapshots: copies of nodes' volumes, in volumes of their own.
//!
//! A copy is made by a short-lived container of the node's own image, since only the Engine may touch
//! its volumes. The copy counts when a second, empty volume stands beside it, whose labels tell of it:
//! labels cannot be changed, and so nobody takes one that was cut off for whole. Memory is not kept;
//! restored nodes are off.

mod error;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    models::{HostConfig, Mount, MountType, Volume, VolumeCreateRequest},
    query_parameters::ListVolumesOptionsBuilder,
};
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{MachineState, Snapshot, SnapshotName, Snapshots};

pub use self::error::SnapshotError;
use crate::{
    DockerDriver, Error,
    errand::Errand,
    failure,
    labels::{self, Labels},
    node::Found,
};

/// Removes what is in the target, copies, and prints how much that was.
const COPY: &str = "find /to -mindepth 1 -maxdepth 1 -exec rm -rf {} +\ncp -a /from/. /to/\ndu -sk /to";

impl Snapshots for DockerDriver {
    async fn save_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let found = self.node(cluster, node).await?;
        if !matches!(found.state, MachineState::Paused | MachineState::Stopped) {
            return Err(SnapshotError::NotAtRest { node: node.clone(), state: found.state }.into());
        }
        if self.kept(cluster, node).await?.iter().any(|snapshot| snapshot.name == *name) {
            return Err(SnapshotError::Exists { node: node.clone(), name: name.clone() }.into());
        }
        let data = data(node, name);
        // What a copy that was cut off left is emptied before the new one.
        self.make_volume(&data, belongs(cluster, node)).await?;
        let size = self.copy(cluster, node, &found, node.as_str(), &data).await?;
        let mut told = belongs(cluster, node);
        let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let words = [
            (labels::SNAPSHOT, name.to_string()),
            (labels::SNAPSHOT_TAKEN, taken.to_string()),
            (labels::SNAPSHOT_SIZE, size.to_string()),
            (labels::IMAGE, image(&found)),
        ];
        told.extend(words.map(|(label, value)| (label.to_owned(), value)));
        told.extend(marks.iter().map(|(key, value)| (format!("{}{key}", labels::MARK), value.clone())));
        self.make_volume(&word(node, name), told).await
    }

    async fn restore_snapshot(&self, cluster: &ClusterName, node: &NodeName, name: &SnapshotName) -> Result<(), Error> {
        let found = self.node(cluster, node).await?;
        let kept = self.snapshot_volumes(cluster, Some(node)).await?;
        let told = kept.iter().find(|volume| volume.name == word(node, name));
        let told = told.ok_or_else(|| SnapshotError::Absent { node: node.clone(), name: name.clone() })?;
        if told.labels.get(labels::IMAGE).is_some_and(|kept| *kept != image(&found)) {
            return Err(SnapshotError::OtherImage { node: node.clone(), name: name.clone() }.into());
        }
        self.stop_node(cluster, node).await?;
        self.copy(cluster, node, &found, &data(node, name), node.as_str()).await?;
        Ok(())
    }

    async fn list_snapshots(&self, cluster: &ClusterName, node: &NodeName) -> Result<Vec<Snapshot>, Error> {
        self.node(cluster, node).await?;
        self.kept(cluster, node).await
    }

    async fn delete_snapshot(&self, _: &ClusterName, node: &NodeName, name: &SnapshotName) -> Result<(), Error> {
        // The word goes first: without it the rest counts for nothing.
        self.remove_volume(&word(node, name)).await?;
        self.remove_volume(&data(node, name)).await
    }
}

impl DockerDriver {
    /// Removes the snapshots of a node, or of all of a cluster's.
    pub(crate) async fn remove_snapshots(&self, cluster: &ClusterName, node: Option<&NodeName>) -> Result<(), Error> {
        for volume in self.snapshot_volumes(cluster, node).await? {
            self.remove_volume(&volume.name).await?;
        }
        Ok(())
    }

    async fn node(&self, cluster: &ClusterName, node: &NodeName) -> Result<Found, Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        self.find(cluster, node).await?.ok_or_else(absent)
    }

    async fn kept(&self, cluster: &ClusterName, node: &NodeName) -> Result<Vec<Snapshot>, Error> {
        let volumes = self.snapshot_volumes(cluster, Some(node)).await?;
        let mut snapshots: Vec<Snapshot> = volumes.iter().filter_map(snapshot).collect();
        snapshots.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(snapshots)
    }

    async fn snapshot_volumes(&self, cluster: &ClusterName, node: Option<&NodeName>) -> Result<Vec<Volume>, Error> {
        let filter = match node {
            Some(node) => labels::filter(labels::SNAPSHOT_NODE, Some(node.as_str())),
            None => labels::filter(labels::SNAPSHOT_CLUSTER, Some(cluster.as_str())),
        };
        let options = ListVolumesOptionsBuilder::new().filters(&filter).build();
        let listed = self.docker.list_volumes(Some(options)).await.map_err(failure::engine("listing volumes"))?;
        let ours =
            |volume: &Volume| volume.labels.get(labels::SNAPSHOT_CLUSTER).map(String::as_str) == Some(cluster.as_str());
        Ok(listed.volumes.unwrap_or_default().into_iter().filter(ours).collect())
    }

    async fn make_volume(&self, name: &str, labels: Labels) -> Result<(), Error> {
        let request = VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() };
        let made = self.docker.create_volume(request).await;
        made.map(drop).map_err(failure::engine(format!("making the volume {name}")))
    }

    /// Makes one volume what another one is. Returns its size in bytes.
    async fn copy(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        found: &Found,
        from: &str,
        to: &str,
    ) -> Result<u64, Error> {
        let volume = |name: &str, target: &str, read_only| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(name.to_owned()),
            target: Some(target.to_owned()),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let errand = Errand {
            cluster,
            image: found.inspected.image.clone(),
            script: COPY,
            arguments: Vec::new(),
            host_config: HostConfig {
                mounts: Some(vec![volume(from, "/from", true), volume(to, "/to", false)]),
                // Files of containers carry attributes that only this may read and write.
                cap_add: Some(vec!["SYS_ADMIN".to_owned()]),
                ..HostConfig::default()
            },
            purpose: "copies",
        };
        let ended = self.run(errand).await?;
        let mut lines = ended.printed.lines().rev();
        let last = lines.find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        if !ended.well {
            return Err(SnapshotError::Copy { node: node.clone(), detail: last.trim().to_owned() }.into());
        }
        let kib = last.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        Ok(kib.unwrap_or_default().saturating_mul(1024))
    }
}

/// The volume with a snapshot's data. Names of nodes have no dot.
fn data(node: &NodeName, name: &SnapshotName) -> String {
    format!("{node}.snapshot.{name}")
}

/// The volume whose labels tell of a snapshot that is whole.
fn word(node: &NodeName, name: &SnapshotName) -> String {
    format!("{node}.whole-snapshot.{name}")
}

fn belongs(cluster: &ClusterName, node: &NodeName) -> Labels {
    HashMap::from([
        (labels::SNAPSHOT_CLUSTER.to_owned(), cluster.to_string()),
        (labels::SNAPSHOT_NODE.to_owned(), node.to_string()),
    ])
}

/// Key of the node image that a node was made from.
fn image(found: &Found) -> String {
    found.labels().and_then(|labels| labels.get(labels::IMAGE)).cloned().unwrap_or_default()
}

/// What the labels of a volume tell of a snapshot.
fn snapshot(volume: &Volume) -> Option<Snapshot> {
    let number = |label: &str| volume.labels.get(label).and_then(|text| text.parse::<u64>().ok());
    Some(Snapshot {
        name: volume.labels.get(labels::SNAPSHOT)?.parse().ok()?,
        taken: UNIX_EPOCH + Duration::from_secs(number(labels::SNAPSHOT_TAKEN)?),
        memory: false,
        size: number(labels::SNAPSHOT_SIZE).unwrap_or_default(),
        marks: labels::marks(&volume.labels),
    })
}
