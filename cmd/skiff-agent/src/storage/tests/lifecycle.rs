//! Making and removing volumes, with crashes in all the wrong places. A crash is a new provisioner over
//! what the old one left behind.

use http::Method;

use super::{
    super::{
        folders::Folders,
        provision::{Outcome, Provisioner, Trouble},
    },
    fake_api::{FakeApi, Lost},
    *,
};

const VOLUMES: &str = "/api/v1/persistentvolumes";

struct Cluster {
    api: FakeApi,
    disk: tempfile::TempDir,
}

impl Cluster {
    fn new(binding_mode: &str, reclaim_policy: &str) -> Self {
        let cluster = Self { api: FakeApi::default(), disk: tempfile::tempdir().unwrap() };
        let class = class(binding_mode, reclaim_policy);
        cluster.api.put("/apis/storage.k8s.io/v1/storageclasses/standard", &class);
        for name in ["a", "b"] {
            cluster.api.put(&format!("/api/v1/nodes/{name}"), &node(name, json!({}), "True"));
        }
        cluster
    }

    /// A new process on a node.
    fn start(&self, node: &str) -> Provisioner {
        let folders = Folders::open(&self.root(node)).unwrap();
        Provisioner::new(self.api.client(), node.to_owned(), folders, std::sync::Arc::default())
    }

    fn root(&self, node: &str) -> std::path::PathBuf {
        self.disk.path().join(node)
    }

    /// What lies in a node's folder.
    fn folders(&self, node: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root(node)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn volume(&self) -> Option<PersistentVolume> {
        self.api.get(&volume_path()).map(parse)
    }

    /// The reasons of the events so far.
    fn reasons(&self) -> Vec<String> {
        self.api.events().into_iter().map(|(reason, _)| reason).collect()
    }
}

fn volume_name() -> String {
    format!("pvc-{UID}")
}

fn volume_path() -> String {
    format!("{VOLUMES}/{}", volume_name())
}

#[tokio::test]
async fn a_claim_gets_its_volume_and_its_owner_is_told() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    assert_eq!(cluster.start("a").provision(&claim()).await.unwrap(), Outcome::Settled);
    let volume = cluster.volume().unwrap();
    let path = cluster.root("a").join(volume_name()).display().to_string();
    assert_eq!(volume.spec.unwrap().local.unwrap().path, path);
    assert_eq!(cluster.folders("a"), [volume_name()]);
    assert_eq!(cluster.reasons(), ["ProvisioningSucceeded"]);
}

#[tokio::test]
async fn other_nodes_stay_out_of_it() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    assert_eq!(cluster.start("b").provision(&claim()).await.unwrap(), Outcome::Settled);
    assert!(cluster.volume().is_none());
    assert!(cluster.folders("b").is_empty() && cluster.reasons().is_empty());
}

#[tokio::test]
async fn a_refused_claim_leaves_an_event_and_nothing_else() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    let claim = claim_with("/spec/volumeMode", json!("Block"));
    assert_eq!(cluster.start("a").provision(&claim).await.unwrap(), Outcome::Settled);
    assert!(cluster.volume().is_none() && cluster.folders("a").is_empty());
    let events = cluster.api.events();
    assert_eq!(events[0].0, "ProvisioningFailed");
    assert!(events[0].1.contains("Block"), "{}", events[0].1);
}

#[tokio::test]
async fn a_crash_after_the_folder_was_made_is_survived() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    cluster.api.lose(Method::POST, VOLUMES, Lost::Before);
    let failed = cluster.start("a").provision(&claim()).await;
    assert!(matches!(failed, Err(Trouble::Api { .. })));
    assert_eq!(cluster.reasons(), ["ProvisioningFailed"]);
    assert_eq!((cluster.folders("a"), cluster.volume().is_none()), (vec![volume_name()], true));

    cluster.start("a").provision(&claim()).await.unwrap();
    assert!(cluster.volume().is_some());
    assert_eq!(cluster.folders("a"), [volume_name()]);
}

#[tokio::test]
async fn a_crash_after_the_volume_was_made_changes_nothing_about_it() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    cluster.api.lose(Method::POST, VOLUMES, Lost::After);
    assert!(cluster.start("a").provision(&claim()).await.is_err());
    let made = cluster.volume().unwrap();
    std::fs::write(cluster.root("a").join(volume_name()).join("data"), "kept").unwrap();

    assert_eq!(cluster.start("a").provision(&claim()).await.unwrap(), Outcome::Settled);
    assert_eq!(cluster.volume().unwrap(), made);
    assert!(cluster.root("a").join(volume_name()).join("data").exists());
}

#[tokio::test]
async fn a_volume_of_that_name_for_another_claim_is_not_taken_over() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    cluster.api.put(&volume_path(), &json!({"metadata": {"name": volume_name()}, "spec": {"claimRef": {"uid": "x"}}}));
    assert!(matches!(cluster.start("a").provision(&claim()).await, Err(Trouble::Taken(_))));
}

#[tokio::test]
async fn trouble_with_the_disk_is_reported() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    let provisioner = cluster.start("a");
    std::fs::write(cluster.root("a").join(volume_name()), "in the way").unwrap();
    assert!(matches!(provisioner.provision(&claim()).await, Err(Trouble::Folder { .. })));
    assert_eq!(cluster.reasons(), ["ProvisioningFailed"]);
    assert!(cluster.volume().is_none());
}

#[tokio::test]
async fn a_claim_that_may_go_anywhere_is_served_by_exactly_one_node() {
    let cluster = Cluster::new("Immediate", "Delete");
    let claim = claim_with("/metadata/annotations/volume.kubernetes.io~1selected-node", Value::Null);
    let (a, b) =
        (cluster.start("a").provision(&claim).await.unwrap(), cluster.start("b").provision(&claim).await.unwrap());
    assert!(matches!((a, b), (Outcome::Settled, Outcome::LookAgain(_)) | (Outcome::LookAgain(_), Outcome::Settled)));
    assert_eq!(cluster.folders("a").len() + cluster.folders("b").len(), 1);
}

#[tokio::test]
async fn the_loser_of_a_race_tidies_up() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    cluster.start("a").provision(&claim()).await.unwrap();
    // The scheduler has changed its mind meanwhile.
    let moved = claim_with("/metadata/annotations/volume.kubernetes.io~1selected-node", json!("b"));
    assert_eq!(cluster.start("b").provision(&moved).await.unwrap(), Outcome::Settled);
    assert!(cluster.folders("b").is_empty());
    assert_eq!(cluster.folders("a").len(), 1);
}

#[tokio::test]
async fn a_missing_class_is_waited_for() {
    let cluster = Cluster::new("WaitForFirstConsumer", "Delete");
    let claim = claim_with("/spec/storageClassName", json!("later"));
    assert!(matches!(cluster.start("a").provision(&claim).await.unwrap(), Outcome::LookAgain(_)));
}

/// A cluster with a volume that was used and whose claim has been deleted.
async fn after_use(reclaim_policy: &str) -> (Cluster, PersistentVolume) {
    let cluster = Cluster::new("WaitForFirstConsumer", reclaim_policy);
    cluster.start("a").provision(&claim()).await.unwrap();
    std::fs::create_dir_all(cluster.root("a").join(volume_name()).join("sub")).unwrap();
    let volume = released(cluster.volume().unwrap());
    (cluster, volume)
}

#[tokio::test]
async fn a_released_volume_goes_with_all_it_holds() {
    let (cluster, volume) = after_use("Delete").await;
    assert_eq!(cluster.start("a").delete(&volume).await.unwrap(), Outcome::Settled);
    assert!(cluster.volume().is_none() && cluster.folders("a").is_empty());
}

#[tokio::test]
async fn a_retained_volume_stays() {
    let (cluster, volume) = after_use("Retain").await;
    cluster.start("a").delete(&volume).await.unwrap();
    assert!(cluster.volume().is_some());
    assert_eq!(cluster.folders("a"), [volume_name()]);
}

#[tokio::test]
async fn a_crash_between_folder_and_volume_is_survived() {
    for lost in [Lost::Before, Lost::After] {
        let (cluster, volume) = after_use("Delete").await;
        cluster.api.lose(Method::DELETE, VOLUMES, lost);
        assert!(cluster.start("a").delete(&volume).await.is_err());
        assert!(cluster.folders("a").is_empty());
        cluster.start("a").delete(&volume).await.unwrap();
        assert!(cluster.volume().is_none());
    }
}

#[tokio::test]
async fn a_new_volume_of_the_same_name_is_not_deleted_for_the_old_one() {
    let (cluster, mut volume) = after_use("Delete").await;
    volume.metadata.uid = Some("old".to_owned());
    let mut newer = volume.clone();
    newer.metadata.uid = Some("new".to_owned());
    cluster.api.put(&volume_path(), &newer);
    cluster.start("a").delete(&volume).await.unwrap();
    assert!(cluster.volume().is_some());
}

#[tokio::test]
async fn a_volume_that_is_being_deleted_already_only_loses_its_folder() {
    let (cluster, mut volume) = after_use("Delete").await;
    volume.metadata.deletion_timestamp = Some(parse(json!("2026-01-01T00:00:00Z")));
    cluster.start("a").delete(&volume).await.unwrap();
    assert!(cluster.folders("a").is_empty());
    assert!(cluster.volume().is_some(), "whoever deletes it finishes that");
}
