//! How an upgrade ends: with all nodes at the new version, or with all of them where they were.

use std::time::{Duration, SystemTime};

use skiff_bootstrap::kubeadm::{self, Alias};
use skiff_config::{ClusterFile, KubeVersion, UpgradeRecord, UpgradeStage};
use skiff_driver::{Driver, NodeImages};
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Journey,
    node::{Passage, SSH_PATIENCE},
};
use crate::{
    ClusterError, ConnectApi, ImageSource, StartOptions,
    host::{driver_error, image_error},
    identity::Identity,
    node_spec, nodes,
    start::{Run, fleet::Targets},
    upgrade::{UpgradeError, record},
};

/// How long nodes may at least take to be what they were.
const WAY_BACK: Duration = Duration::from_mins(6);

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// The end of a hop: what all nodes share goes to the new version as well, and the cluster works.
    pub(super) async fn conclude(&self, journey: &mut Journey, version: &KubeVersion) -> Result<(), ClusterError> {
        let Some(record) = journey.record.clone() else { return Ok(()) };
        let aliases = self.aliases(&journey.wanted.file, &record)?;
        let agent = self.images.agent_image().map_err(image_error)?;
        for stored in &mut journey.wanted.file.status.nodes {
            stored.agent.clone_from(&agent);
        }
        let wanted = &mut journey.wanted;
        if let Some(first) = wanted.file.status.nodes.first() {
            let config = node_spec::node_config(&wanted.spec, first, &self.capabilities)?;
            let runner = nodes::connect(self.host, &self.name, &first.name, SSH_PATIENCE).await?;
            let endpoint = node_spec::endpoint(&wanted.spec);
            let cluster = Identity::load_or_make(&self.host.store, &wanted.spec, endpoint, SystemTime::now())?.config;
            let finish = kubeadm::finish_upgrade(&runner, &cluster, &config);
            self.log(&cluster, self.watch.time("kubeadm/upgrade", finish).await)?;
        }
        // In the first place it is what all the others are now: nothing is made anew by this.
        Box::pin(self.make_usable(wanted)).await?;
        record::remove(&self.host.store, &self.name)?;
        self.forget(&wanted.file, &aliases).await;
        journey.before = wanted.file.spec.clone();
        journey.record = None;
        self.host.reporter.info(&format!("All nodes run Kubernetes {version}"));
        Ok(())
    }

    /// Undoes what was begun, and says what became of it.
    pub(super) async fn give_up(&self, journey: Journey, error: ClusterError) -> ClusterError {
        let Some(record) = journey.record else { return error };
        self.show_log(&error, false);
        let (from, to) = (record.from.clone(), record.to.clone());
        self.host.reporter.warn(&format!("The upgrade to Kubernetes {to} failed: {}", skiff_report::chain(&error)));
        self.host.reporter.step(Step::UpdatingDriver, &format!("Going back to Kubernetes {from}"));
        match self.undo(record, journey.served).await {
            Ok(_) => UpgradeError::Undone { from, to, first: Box::new(error) }.into(),
            Err(undo) => ClusterError::Undo { first: Box::new(error), undo: Box::new(undo) },
        }
    }

    /// Brings all nodes back to what they were. May be cut off anywhere and begun again.
    pub(super) async fn undo(&self, mut record: UpgradeRecord, served: bool) -> Result<ClusterFile, ClusterError> {
        let (host, store) = (self.host, &self.host.store);
        let mut file = host.load(&self.name)?;
        file.spec = record.before.clone();
        record.stage = record::way_back(&file, &record, served);
        record::save(store, &self.name, &record)?;
        let etcd = record.stage == UpgradeStage::Restoring;
        for stored in &mut file.status.nodes {
            if let Some(was) = record.node(&stored.name).filter(|was| was.image != stored.image) {
                stored.image.clone_from(&was.image);
                stored.applied.clear();
            }
            if let Some(first) = record.nodes.first() {
                stored.agent.clone_from(&first.agent);
            }
        }
        store.save(&file)?;
        if etcd {
            // None may tell another one what that has to forget.
            for stored in file.status.nodes.iter().filter(|stored| stored.applied.is_empty()) {
                host.driver.stop(&self.name, &stored.name).await.map_err(driver_error)?;
            }
        }
        let nodes = record.nodes.iter().map(|node| node.name.clone()).collect();
        let mut wanted = self.wanted(file, record.before.clone())?;
        // Who soon loses patience with the way there still wants to get back.
        let wait_timeout = self.options.wait_timeout.max(WAY_BACK);
        let options = StartOptions { wait_timeout, ..self.options.clone() };
        let run = self.crossing(Targets::All, Passage::Back { nodes, etcd }, &options);
        Box::pin(run.make_usable(&mut wanted)).await?;
        for node in &wanted.file.status.nodes {
            let through = self.through(&wanted, &node.name).await?;
            kubeadm::come_back(&through, &node.name).await?;
        }
        record::remove(store, &self.name)?;
        self.forget(&wanted.file, &[]).await;
        let text = format!("Cluster `{}` runs Kubernetes {} as before", self.name, record.from);
        host.reporter.info(&text);
        Ok(wanted.file)
    }

    /// Forgets what nodes kept. Where that fails a few megabytes stay until the next upgrade.
    pub(super) async fn forget(&self, file: &ClusterFile, aliases: &[Alias]) {
        for node in &file.status.nodes {
            let forgot = async {
                let runner = nodes::connect(self.host, &self.name, &node.name, SSH_PATIENCE).await?;
                Ok::<_, ClusterError>(kubeadm::forget_kept(&runner, aliases).await?)
            };
            if let Err(error) = forgot.await {
                self.host.reporter.warn(&format!("{}: {error}", node.name));
            }
        }
    }
}
