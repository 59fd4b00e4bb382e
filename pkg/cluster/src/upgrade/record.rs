//! The record of an upgrade under way, in the cluster's profile.

use skiff_config::{ClusterFile, ClusterName, KubeVersion, NodeName, SpecFile, UpgradeRecord, UpgradeStage, versions};
use skiff_store::Store;

use super::{UpgradeError, UpgradeNode};
use crate::{ClusterError, identity, nodes::control_planes};

/// File of the profile.
const FILE: &str = "upgrade.yaml";

/// The upgrade that a cluster is in the middle of, if any.
///
/// # Errors
/// When its file cannot be read.
pub fn upgrade_under_way(store: &Store, name: &ClusterName) -> Result<Option<UpgradeRecord>, ClusterError> {
    let Some(text) = identity::read(store, name, FILE)? else { return Ok(None) };
    let record = UpgradeRecord::from_yaml(&text);
    let unreadable = |source| UpgradeError::Record { path: store.profile_dir(name).join(FILE), source };
    Ok(record.map(Some).map_err(unreadable)?)
}

/// Stores it; whoever is killed after this leaves word of it.
pub(crate) fn save(store: &Store, name: &ClusterName, record: &UpgradeRecord) -> Result<(), ClusterError> {
    let unwritable = |source| UpgradeError::Record { path: store.profile_dir(name).join(FILE), source };
    store.write_file(name, FILE, record.to_yaml().map_err(unwritable)?.as_bytes())?;
    Ok(())
}

/// Removes it.
pub(crate) fn remove(store: &Store, name: &ClusterName) -> Result<(), ClusterError> {
    Ok(store.remove_file(name, FILE)?)
}

/// Refuses what needs all nodes to have one version.
pub(crate) fn refuse_half_way(store: &Store, name: &ClusterName) -> Result<(), ClusterError> {
    match upgrade_under_way(store, name)? {
        None => Ok(()),
        Some(record) => Err(UpgradeError::HalfWay { cluster: name.clone(), to: record.to }.into()),
    }
}

/// What a stored cluster's nodes run.
pub(crate) fn nodes(file: &ClusterFile, at: &KubeVersion, record: Option<&UpgradeRecord>) -> Vec<UpgradeNode> {
    let version = |name: &NodeName| match record {
        Some(record) if record.node(name).is_some_and(|node| node.done) => record.to.clone(),
        Some(record) => record.from.clone(),
        None => at.clone(),
    };
    let planes: Vec<&NodeName> = control_planes(file).map(|node| &node.name).collect();
    let node = |name: &NodeName| UpgradeNode {
        name: name.clone(),
        control_plane: planes.contains(&name),
        version: version(name),
    };
    file.status.nodes.iter().map(|record| node(&record.name)).collect()
}

/// How to go back: with what was written since, or to what there was.
///
/// While one control plane is what it was, it has all that was written, and the API servers of a minor
/// and the next one understand each other. Where none is, the older etcd must be able to read what the
/// newer one wrote; and if nobody was `served` by the new one, nobody has written anything.
pub(crate) fn way_back(file: &ClusterFile, record: &UpgradeRecord, served: bool) -> UpgradeStage {
    if record.stage.is_undo() {
        return record.stage;
    }
    let mut planes = control_planes(file);
    let all_changed = planes.all(|plane| record.node(&plane.name).is_some());
    let written = served || record.stage == UpgradeStage::GoingAgain || record.nodes.iter().any(|node| node.done);
    let readable = etcd_minor(&record.from) == etcd_minor(&record.to);
    if all_changed && !(written && readable) { UpgradeStage::Restoring } else { UpgradeStage::Undoing }
}

/// Major and minor version of a Kubernetes version's etcd, such as `3.5`.
fn etcd_minor(version: &KubeVersion) -> &'static str {
    let tag = versions::image_tags(version).etcd;
    tag.match_indices('.').nth(1).map_or(tag, |(end, _)| &tag[..end])
}

/// Settings with another version.
pub(crate) fn at(spec: &SpecFile, version: &KubeVersion) -> SpecFile {
    SpecFile { kubernetes_version: Some(version.to_string()), ..spec.clone() }
}

#[cfg(test)]
mod tests {
    use skiff_config::UpgradedNode;

    use super::*;

    fn file(planes: u32) -> ClusterFile {
        let mut file = ClusterFile::new("dev".parse().unwrap(), SpecFile::default());
        for index in 0..=planes {
            let role = if index < planes { "control-plane" } else { "worker" };
            let text = format!(
                "{{name: dev-{index}, role: {role}, index: {index}, address: 10.0.0.{}, sshPort: 1, image: x}}",
                index + 2
            );
            file.status.nodes.push(serde_yaml::from_str(&text).unwrap());
        }
        file
    }

    fn record(minors: (u64, u64), stage: UpgradeStage, nodes: &[(&str, bool)]) -> UpgradeRecord {
        let node = |(name, done): &(&str, bool)| UpgradedNode {
            name: name.parse().unwrap(),
            image: "x".into(),
            agent: String::new(),
            done: *done,
        };
        UpgradeRecord {
            from: KubeVersion::new(1, minors.0, 0),
            to: KubeVersion::new(1, minors.1, 0),
            stage,
            before: SpecFile::default(),
            after: SpecFile::default(),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn what_somebody_was_told_to_be_stored_stays_where_that_can_be() {
        use UpgradeStage::{Going, GoingAgain, Restoring, Undoing};
        let one = |stage, nodes: &[(&str, bool)], served| way_back(&file(1), &record((22, 23), stage, nodes), served);
        assert_eq!(one(Going, &[], false), Undoing, "nothing was touched");
        assert_eq!(one(Going, &[("dev-0", false)], false), Restoring, "the new API server never answered");
        assert_eq!(one(Going, &[("dev-0", false)], true), Undoing);
        assert_eq!(one(GoingAgain, &[("dev-0", false)], false), Undoing, "who knows");
        assert_eq!(one(Going, &[("dev-0", true), ("dev-1", false)], false), Undoing);
        assert_eq!(one(Restoring, &[("dev-0", true)], true), Restoring, "as it was begun");
    }

    #[test]
    fn an_etcd_that_cannot_read_newer_data_gets_the_old_back() {
        use UpgradeStage::{Going, Restoring, Undoing};
        let nodes = [("dev-0", true), ("dev-1", true), ("dev-2", true)];
        let back = |minors, planes: &[(&str, bool)]| way_back(&file(3), &record(minors, Going, planes), true);
        assert_eq!(back((33, 34), &nodes), Restoring);
        assert_eq!(back((33, 34), &nodes[..2]), Undoing, "the third one has all of it");
        assert_eq!(back((32, 33), &nodes), Undoing);
        assert_eq!(etcd_minor(&KubeVersion::new(1, 33, 6)), "3.5");
    }

    #[test]
    fn the_record_is_in_the_profile_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, name) = (Store::open(folder.path()).unwrap(), "dev".parse().unwrap());
        let record = record((20, 21), UpgradeStage::Going, &[("dev-0", true)]);
        save(&store, &name, &record).unwrap();
        assert_eq!(upgrade_under_way(&store, &name).unwrap(), Some(record.clone()));
        assert!(refuse_half_way(&store, &name).is_err());
        let versions: Vec<u64> =
            nodes(&file(1), &record.from, Some(&record)).iter().map(|node| node.version.minor()).collect();
        assert_eq!(versions, [21, 20]);
        remove(&store, &name).unwrap();
        refuse_half_way(&store, &name).unwrap();
    }
}
