//! An upgrade, step by step as [`plan_upgrade`] says.
//!
//! A node goes to another version by a machine of that version's node image on its data. Before the
//! first one is touched a record is stored: whatever fails from there on is undone, and whoever comes
//! after a skiff that was killed goes on where it was, or undoes what is there.
//!
//! The snapshot that an undo goes back to is a copy of what etcd has stored and of Kubernetes' files, made
//! on each node before its machine changes. It is not one of the driver's: those freeze the whole cluster
//! while all of its data is copied, belong to a machine that an upgrade replaces, and would take what
//! people's pods have written since back as well. Who wants that too saves one before.

mod end;
mod node;

use skiff_bootstrap::kubeadm;
use skiff_config::{ClusterFile, KubeVersion, Phase, SpecFile, UpgradeRecord, UpgradeStage};
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_report::Step;
use skiff_runner::Connect;

pub(super) use self::node::Passage;
use super::{
    Run,
    plan::Wanted,
    provision::{keeps_snapshots, snapshots_in_the_way},
};
use crate::{
    ClusterError, ConnectApi, ImageSource, Outcome, StartReport, UpgradeStep,
    host::driver_error,
    plan_upgrade,
    upgrade::{record, upgrade_under_way},
};

/// What a start finds, as far as upgrades are concerned.
pub(super) enum Found {
    /// All nodes have one version.
    Whole,
    /// An upgrade to be finished.
    Forward(UpgradeRecord),
    /// An upgrade to be undone before anything else.
    Back(UpgradeRecord),
}

impl Found {
    /// Looks; the stored cluster is made to say what it shall be at last, so that what is asked now is
    /// laid over that.
    pub(super) fn look(
        store: &skiff_store::Store,
        stored: Option<&mut ClusterFile>,
        given: &SpecFile,
    ) -> Result<Self, ClusterError> {
        let Some(file) = stored.filter(|file| file.status.phase == Phase::Created) else { return Ok(Self::Whole) };
        let Some(record) = upgrade_under_way(store, &file.metadata.name)? else { return Ok(Self::Whole) };
        let asked = given.kubernetes_version.as_deref().and_then(|text| text.parse::<KubeVersion>().ok());
        // Who asks for the old version has had enough of the new one.
        let back = record.stage.is_undo() || asked.is_some_and(|asked| asked == record.from);
        file.spec = if back { record.before.clone() } else { record.after.clone() };
        Ok(if back { Self::Back(record) } else { Self::Forward(record) })
    }
}

/// An upgrade under way.
struct Journey {
    /// What the cluster shall be after this hop; its file is what there is now.
    wanted: Wanted,
    /// What was asked of the cluster before this hop.
    before: SpecFile,
    /// What is asked of it at last.
    after: SpecFile,
    /// Present from the moment on from which a failure is undone.
    record: Option<UpgradeRecord>,
    /// Key of the hop's node image.
    image: String,
    /// Whether a new API server was ready.
    served: bool,
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Brings the cluster up as it shall be, through an upgrade if that takes one.
    pub(super) async fn bring_up_or_upgrade(
        &self,
        mut wanted: Wanted,
        found: Found,
    ) -> Result<StartReport, ClusterError> {
        let record = match found {
            Found::Whole => None,
            Found::Forward(record) => Some(record),
            Found::Back(record) => {
                let text = format!("The upgrade to Kubernetes {} was not finished: undoing it", record.to);
                self.host.reporter.info(&text);
                // What whoever began it has let people write is not known.
                wanted.file.status = Box::pin(self.undo(record, true)).await?.status;
                None
            }
        };
        let version = |spec: &SpecFile| spec.resolve(self.name.clone()).map(|spec| spec.kubernetes_version);
        let had = wanted.previous.as_ref().and_then(|previous| version(previous).ok());
        match (record, had) {
            (None, Some(had)) if had < wanted.spec.kubernetes_version => Box::pin(self.upgrade(wanted, &had)).await,
            (Some(record), _) => Box::pin(self.go_on(wanted, record)).await,
            _ => self.bring_up(wanted).await,
        }
    }

    /// Upgrades a cluster all of whose nodes have one version.
    async fn upgrade(&self, wanted: Wanted, had: &KubeVersion) -> Result<StartReport, ClusterError> {
        // What cannot be is told before anything is started.
        let nodes = record::nodes(&wanted.file, had, None);
        plan_upgrade(&nodes, &wanted.spec.kubernetes_version)?;
        self.refuse_snapshots().await?;
        let before = wanted.previous.clone().unwrap_or_default();
        let mut now = self.wanted(wanted.file.clone(), before.clone())?;
        // From a cluster that works only: what is broken before looks like the upgrade's fault after.
        Box::pin(self.make_usable(&mut now)).await?;
        let after = wanted.file.spec.clone();
        let journey = Journey { wanted: now, before, after, record: None, image: String::new(), served: false };
        self.travel(journey, had, &wanted.spec.kubernetes_version).await
    }

    /// Goes on with an upgrade that was cut off.
    async fn go_on(&self, wanted: Wanted, mut record: UpgradeRecord) -> Result<StartReport, ClusterError> {
        let text = format!("The upgrade to Kubernetes {} was cut off: going on with it", record.to);
        self.host.reporter.info(&text);
        record.stage = UpgradeStage::GoingAgain;
        record.after = wanted.file.spec.clone();
        record::save(&self.host.store, &self.name, &record)?;
        let (from, to) = (record.from.clone(), wanted.spec.kubernetes_version.clone());
        let journey = Journey {
            wanted: self.wanted(wanted.file, record.before.clone())?,
            before: record.before.clone(),
            after: record.after.clone(),
            record: Some(record),
            image: String::new(),
            served: false,
        };
        self.travel(journey, &from, &to).await
    }

    /// Carries the steps out. A failure after the first change is undone.
    async fn travel(
        &self,
        mut journey: Journey,
        from: &KubeVersion,
        to: &KubeVersion,
    ) -> Result<StartReport, ClusterError> {
        let nodes = record::nodes(&journey.wanted.file, from, journey.record.as_ref());
        let mut steps = plan_upgrade(&nodes, to)?;
        if let Some(record) =
            journey.record.as_ref().filter(|record| nodes.iter().all(|node| node.version == record.to))
        {
            // It was cut off at its very end.
            let (from, to) = (record.from.clone(), record.to.clone());
            let end = [UpgradeStep::Begin { from, to: to.clone() }, UpgradeStep::Verify(to)];
            steps.splice(0..0, end);
        }
        self.wake(&journey).await?;
        for step in steps {
            if let Err(error) = Box::pin(self.carry_out(&mut journey, step)).await {
                return Err(Box::pin(self.give_up(journey, error)).await);
            }
        }
        let report = self.report(Outcome::Updated, &journey.wanted, Some(!self.options.keep_context));
        let done = format!("Cluster `{}` was upgraded from Kubernetes {from} to {}", self.name, report.version);
        self.host.reporter.step(Step::Done, &done);
        Ok(report)
    }

    /// Refuses, before anything is changed, what a machine with snapshots cannot go along with.
    async fn refuse_snapshots(&self) -> Result<(), ClusterError> {
        let live = self.host.driver.list(Some(&self.name)).await.map_err(driver_error)?;
        match live.iter().find(|machine| keeps_snapshots(machine)) {
            Some(machine) => Err(snapshots_in_the_way(&self.name, machine).into()),
            None => Ok(()),
        }
    }

    /// Starts machines that are off and not about to be made anew: others are moved while they run.
    async fn wake(&self, journey: &Journey) -> Result<(), ClusterError> {
        let Some(record) = &journey.record else { return Ok(()) };
        for node in self.host.driver.list(Some(&self.name)).await.map_err(driver_error)? {
            let left = record.node(&node.name).is_none_or(|node| node.done);
            if left && matches!(node.state, MachineState::Stopped | MachineState::Paused) {
                self.host.driver.start(&self.name, &node.name).await.map_err(driver_error)?;
            }
        }
        Ok(())
    }

    async fn carry_out(&self, journey: &mut Journey, step: UpgradeStep) -> Result<(), ClusterError> {
        let reporter = &*self.host.reporter;
        match step {
            UpgradeStep::Note { version, text } => reporter.warn(&format!("Kubernetes {version}: {text}")),
            UpgradeStep::Image(version) => journey.image = self.ensure_image(&version).await?,
            UpgradeStep::Begin { from, to } => self.begin(journey, from, to)?,
            UpgradeStep::Drain(node) => self.drain(journey, &node).await?,
            UpgradeStep::Apply { node, version } | UpgradeStep::Follow { node, version } => {
                reporter.step(Step::UpdatingDriver, &format!("Bringing node {node} to Kubernetes {version}"));
                Box::pin(self.move_node(journey, &node)).await?;
            }
            UpgradeStep::Uncordon(node) => {
                let through = self.through(&journey.wanted, &node).await?;
                kubeadm::come_back(&through, &node).await?;
            }
            UpgradeStep::Verify(version) => Box::pin(self.conclude(journey, &version)).await?,
        }
        Ok(())
    }

    /// Writes down what is about to be done.
    fn begin(&self, journey: &mut Journey, from: KubeVersion, to: KubeVersion) -> Result<(), ClusterError> {
        if journey.record.as_ref().is_none_or(|record| record.to != to) {
            let text = format!("Upgrading cluster `{}` from Kubernetes {from} to {to}", self.name);
            self.host.reporter.step(Step::UpdatingDriver, &text);
            let (before, after) = (journey.before.clone(), journey.after.clone());
            let (stage, nodes) = (UpgradeStage::Going, Vec::new());
            let record = UpgradeRecord { from, to: to.clone(), stage, before, after, nodes };
            record::save(&self.host.store, &self.name, &record)?;
            (journey.record, journey.served) = (Some(record), false);
        }
        let mut wanted = self.wanted(journey.wanted.file.clone(), record::at(&journey.after, &to))?;
        wanted.previous = Some(journey.before.clone());
        journey.wanted = wanted;
        Ok(())
    }

    /// A cluster that shall be something else from now on.
    pub(super) fn wanted(&self, file: ClusterFile, spec: SpecFile) -> Result<Wanted, ClusterError> {
        let mut file = file;
        file.spec = spec;
        let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
        Ok(Wanted { file, spec, refused: Vec::new(), previous: None })
    }
}
