//! Makes and removes volumes. Each step may be the last one before a crash; running again from the start
//! ends in the same state.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, ObjectReference, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::OnceCell;

use super::{
    PROVISIONER,
    folders::{Folders, VolumeName},
    metrics::StorageMetrics,
    plan::{self, Placement},
    volume::{self, NodeNames},
};
use crate::api::chain;

/// When to look again at something that is another instance's turn, or waits for someone else.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why a volume could not be made or removed this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The API server refused or did not answer.
    #[error("cannot {what}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: kube::Error,
    },
    /// The folder could not be made or removed.
    #[error("cannot {what} {}", path.display())]
    Folder {
        /// What was tried.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// There is a volume of the right name that belongs to something else.
    #[error("volume {0} belongs to another claim")]
    Taken(String),
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing more to do until the object changes.
    Settled,
    /// Worth another look after a while.
    LookAgain(Duration),
}

/// Makes and removes the volumes of one node.
pub(super) struct Provisioner {
    client: Client,
    node: String,
    folders: Folders,
    recorder: Recorder,
    metrics: Arc<StorageMetrics>,
    names: OnceCell<NodeNames>,
}

impl Provisioner {
    /// A provisioner for the node called `node`.
    pub(super) fn new(client: Client, node: String, folders: Folders, metrics: Arc<StorageMetrics>) -> Self {
        let reporter = Reporter { controller: PROVISIONER.to_owned(), instance: Some(node.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, node, folders, recorder, metrics, names: OnceCell::new() }
    }

    /// The node that is served.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Whether a volume's folder is to be removed by this instance.
    pub(super) fn doomed(&self, volume: &PersistentVolume) -> Option<VolumeName> {
        plan::doomed(volume, &self.node, |name| self.folders.path(name).display().to_string())
    }

    /// Makes the volume for a claim, if it is this node's to make, and tells the claim's owner.
    pub(super) async fn provision(&self, claim: &PersistentVolumeClaim) -> Result<Outcome, Trouble> {
        let result = self.try_provision(claim).await;
        if let Err(trouble) = &result {
            self.metrics.provision_failures.add();
            self.report(&claim.object_ref(&()), EventType::Warning, "ProvisioningFailed", chain(trouble)).await;
        }
        result
    }

    async fn try_provision(&self, claim: &PersistentVolumeClaim) -> Result<Outcome, Trouble> {
        let (Some(class), Some(name)) = (plan::wanted_class(claim), volume::name_for(claim)) else {
            return Ok(Outcome::Settled);
        };
        let classes = Api::<StorageClass>::all(self.client.clone());
        let Some(class) = classes.get_opt(class).await.map_err(failed("read the storage class"))? else {
            return Ok(Outcome::LookAgain(LOOK_AGAIN));
        };
        match plan::placement(claim, &class, &self.node) {
            Placement::Here => {}
            Placement::Elsewhere => return Ok(Outcome::Settled),
            Placement::Anywhere if self.is_chosen(claim).await? => {}
            Placement::Anywhere => return Ok(Outcome::LookAgain(LOOK_AGAIN)),
        }
        if let Some(refusal) = plan::refusal(claim) {
            let about = claim.object_ref(&());
            self.report(&about, EventType::Warning, "ProvisioningFailed", refusal.to_string()).await;
            return Ok(Outcome::Settled);
        }
        self.folders.create(&name).map_err(self.folder_trouble("make the folder", &name))?;
        let names = self.node_names().await?;
        let wanted = volume::describe(claim, &class, &name, names, &self.folders.path(&name));
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        match volumes.create(&PostParams::default(), &wanted).await {
            Ok(_) => {
                self.metrics.provisioned.add();
                tracing::info!(volume = name.as_str(), claim = %claim.name_any(), "provisioned");
                let note = format!("made volume {} on node {}", name.as_str(), self.node);
                self.report(&claim.object_ref(&()), EventType::Normal, "ProvisioningSucceeded", note).await;
                Ok(Outcome::Settled)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => self.find_made(claim, &name, &volumes).await,
            Err(source) => Err(Trouble::Api { what: "create the volume", source }),
        }
    }

    /// Looks at the volume that is there already: ours from before a crash, or that of a faster instance.
    async fn find_made(
        &self,
        claim: &PersistentVolumeClaim,
        name: &VolumeName,
        volumes: &Api<PersistentVolume>,
    ) -> Result<Outcome, Trouble> {
        let Some(found) = volumes.get_opt(name.as_str()).await.map_err(failed("read the volume"))? else {
            return Ok(Outcome::LookAgain(Duration::ZERO));
        };
        let owner = found.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).and_then(|claim| claim.uid.as_ref());
        if owner != claim.metadata.uid.as_ref() {
            return Err(Trouble::Taken(name.as_str().to_owned()));
        }
        if found.labels().get(plan::NODE_LABEL) != Some(&volume::node_label(&self.node)) {
            self.folders.remove_empty(name).map_err(self.folder_trouble("tidy up the folder", name))?;
        }
        Ok(Outcome::Settled)
    }

    async fn is_chosen(&self, claim: &PersistentVolumeClaim) -> Result<bool, Trouble> {
        let nodes = Api::<Node>::all(self.client.clone());
        let nodes = nodes.list(&ListParams::default()).await.map_err(failed("list the nodes"))?;
        let uid = claim.metadata.uid.as_deref().unwrap_or_default();
        Ok(plan::choose_node(uid, &nodes.items) == Some(self.node.as_str()))
    }

    /// Removes a doomed volume: first what it holds, then the object, which is what a second try goes by.
    pub(super) async fn delete(&self, volume: &PersistentVolume) -> Result<Outcome, Trouble> {
        let Some(name) = self.doomed(volume) else { return Ok(Outcome::Settled) };
        let result = self.try_delete(volume, &name).await;
        match &result {
            Ok(false) => {}
            Ok(true) => {
                self.metrics.deleted.add();
                tracing::info!(volume = name.as_str(), "deleted");
            }
            Err(trouble) => {
                self.metrics.delete_failures.add();
                self.report(&volume.object_ref(&()), EventType::Warning, "VolumeFailedDelete", chain(trouble)).await;
            }
        }
        result.map(|_| Outcome::Settled)
    }

    /// Says whether there was anything to do.
    async fn try_delete(&self, volume: &PersistentVolume, name: &VolumeName) -> Result<bool, Trouble> {
        let (folders, doomed) = (self.folders.clone(), name.clone());
        // A large tree takes its time, during which the health server must go on answering.
        let removed = tokio::task::spawn_blocking(move || folders.remove(&doomed)).await;
        let existed = removed
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(self.folder_trouble("remove the folder", name))?;
        if volume.metadata.deletion_timestamp.is_some() {
            // Deleted already, by us or by hand, and only waiting for others to let go.
            return Ok(existed);
        }
        let same = Preconditions { uid: volume.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        match volumes.delete(name.as_str(), &params).await {
            Ok(_) => Ok(true),
            // Gone, or another one by now: either way not the one that was to be deleted.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(existed),
            Err(source) => Err(Trouble::Api { what: "delete the volume", source }),
        }
    }

    async fn node_names(&self) -> Result<&NodeNames, Trouble> {
        self.names
            .get_or_try_init(|| async {
                let nodes = Api::<Node>::all(self.client.clone());
                let node = nodes.get(&self.node).await.map_err(failed("read the node"))?;
                let hostname = node.labels().get("kubernetes.io/hostname").unwrap_or(&self.node).clone();
                Ok(NodeNames { name: self.node.clone(), hostname })
            })
            .await
    }

    async fn report(&self, about: &ObjectReference, type_: EventType, reason: &str, note: String) {
        let action = "Provisioning".to_owned();
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action, secondary: None };
        // Events are a courtesy: what they tell of stands without them.
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(error = %chain(&error), reason, "cannot report an event");
        }
    }

    fn folder_trouble(&self, what: &'static str, name: &VolumeName) -> impl FnOnce(std::io::Error) -> Trouble {
        let path = self.folders.path(name);
        move |source| Trouble::Folder { what, path, source }
    }
}

fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> Trouble {
    move |source| Trouble::Api { what, source }
}
