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

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use skiff_bootstrap::kubeadm::{self, Alias, Evacuation};
use skiff_config::{
    ClusterFile, KubeVersion, NodeName, Phase, SpecFile, UpgradeRecord, UpgradeStage, UpgradedNode, versions,
};
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_kubeapi::Condition;
use skiff_report::Step;
use skiff_runner::Connect;

use super::{Run, fleet::Member, fleet::Targets, plan::Wanted, provision::phase};
use crate::{
    ClusterError, ConnectApi, ImageSource, Outcome, StartOptions, StartReport, UpgradeStep,
    addons::Refused,
    host::{driver_error, image_error},
    identity::Identity,
    living, node_spec, nodes, plan_upgrade,
    upgrade::{UpgradeError, record, upgrade_under_way},
};

/// How long a node that runs may take to let skiff in.
const SSH_PATIENCE: Duration = Duration::from_secs(10);
/// How long nodes may at least take to be what they were.
const WAY_BACK: Duration = Duration::from_mins(6);

/// How the nodes of a run change their version.
pub(super) enum Passage {
    /// To a newer one.
    Forward {
        /// Images under names that the cluster still asks for.
        aliases: Vec<Alias>,
        /// Other nodes come later, or were first.
        rolling: bool,
        /// Whether the new API server was ready.
        served: AtomicBool,
    },
    /// Back.
    Back {
        /// The nodes that have something to go back to.
        nodes: Vec<NodeName>,
        /// To the state that etcd had, too.
        etcd: bool,
    },
}

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

impl<D, C, K, I> Run<'_, D, C, K, I>
where
    D: Driver + NodeImages,
    C: Connect,
    K: ConnectApi,
    I: ImageSource,
{
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

    /// Moves a node's pods away. One that was touched already has none that anybody would miss.
    async fn drain(&self, journey: &Journey, node: &NodeName) -> Result<(), ClusterError> {
        let Some(record) = journey.record.as_ref().filter(|record| record.node(node).is_none()) else { return Ok(()) };
        self.host.reporter.info(&format!("Moving the pods of node {node} away"));
        let through = self.through(&journey.wanted, node).await?;
        let how = Evacuation { patience: self.options.wait_timeout, force: self.options.force };
        match kubeadm::evacuate(&through, node, &record.from, how).await {
            Err(error) if self.options.force => {
                self.host.reporter.warn(&format!("{error}; it goes on all the same (--force)"));
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// A way into a control plane that works, if possible not on this node.
    async fn through(&self, wanted: &Wanted, node: &NodeName) -> Result<C::Runner, ClusterError> {
        let mut others = wanted.file.clone();
        others.status.nodes.retain(|record| record.name != *node);
        let other = match living::control_plane(self.host, &others, &wanted.spec).await {
            Ok((record, _)) => record.name.clone(),
            Err(_) => living::control_plane(self.host, &wanted.file, &wanted.spec).await?.0.name.clone(),
        };
        nodes::connect(self.host, &self.name, &other, SSH_PATIENCE).await
    }

    /// Brings one node to the version.
    async fn move_node(&self, journey: &mut Journey, node: &NodeName) -> Result<(), ClusterError> {
        let Some(record) = &mut journey.record else { return Ok(()) };
        let wanted = &mut journey.wanted;
        let again = record.node(node).is_some();
        let live = self.host.driver.list(Some(&self.name)).await.map_err(driver_error)?;
        if live.iter().any(|machine| machine.name == *node && machine.state == MachineState::Running) && !again {
            let runner = nodes::connect(self.host, &self.name, node, SSH_PATIENCE).await?;
            kubeadm::keep_files(&runner, false).await?;
        }
        let rolling = wanted.file.status.nodes.len() > 1;
        let aliases = self.aliases(&wanted.file, record)?;
        if let Some(stored) = wanted.file.status.nodes.iter_mut().find(|stored| stored.name == *node) {
            if !again {
                let (image, agent) = (stored.image.clone(), stored.agent.clone());
                record.nodes.push(UpgradedNode { name: node.clone(), image, agent, done: false });
                record::save(&self.host.store, &self.name, record)?;
            }
            stored.image.clone_from(&journey.image);
        }
        let passage = Passage::Forward { aliases, rolling, served: AtomicBool::new(false) };
        let run = self.crossing(Targets::One(node.clone()), passage, self.options);
        let result = Box::pin(run.bring_across(wanted, node)).await;
        journey.served |= run.served();
        result?;
        if let Some(moved) = record.nodes.iter_mut().find(|moved| moved.name == *node) {
            moved.done = true;
        }
        record::save(&self.host.store, &self.name, record)
    }

    /// Brings the one node of this run up and waits until it is ready.
    async fn bring_across(&self, wanted: &mut Wanted, node: &NodeName) -> Result<(), ClusterError> {
        let fleet = self.prepare(wanted).await?;
        let api = match living::control_plane(self.host, &wanted.file, &wanted.spec).await {
            Ok((_, api)) => api,
            Err(error) => self.only_api(wanted, node)?.ok_or(error)?,
        };
        self.while_they_run(&fleet, self.boot(&fleet, wanted, &api)).await?;
        for member in &fleet.members {
            let ready = Condition::NodeReady(member.name().to_string());
            let patience = fleet.patience(Some(member));
            self.condition(&phase("wait/node-ready", member), true, ready, member.started, patience, &api).await?;
        }
        fleet.mark_applied(&mut wanted.file);
        Ok(self.host.store.save(&wanted.unproven())?)
    }

    /// The end of a hop: what all nodes share goes to the new version as well, and the cluster works.
    async fn conclude(&self, journey: &mut Journey, version: &KubeVersion) -> Result<(), ClusterError> {
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

    /// Forgets what nodes kept. Where that fails a few megabytes stay until the next upgrade.
    async fn forget(&self, file: &ClusterFile, aliases: &[Alias]) {
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

    /// Undoes what was begun, and says what became of it.
    async fn give_up(&self, journey: Journey, error: ClusterError) -> ClusterError {
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
    async fn undo(&self, mut record: UpgradeRecord, served: bool) -> Result<ClusterFile, ClusterError> {
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

    /// What a machine needs between its start and kubeadm, when its version changes.
    pub(super) async fn cross(&self, wanted: &Wanted, member: &Member) -> Result<(), ClusterError> {
        let Some(passage) = self.passage.as_ref().filter(|_| member.needs_kubeadm()) else { return Ok(()) };
        match passage {
            Passage::Forward { aliases, .. } => {
                let runner = self.connect(wanted, member).await?;
                Ok(kubeadm::keep_state(&runner, aliases).await?)
            }
            Passage::Back { nodes, etcd } if nodes.contains(member.name()) => {
                let runner = self.connect(wanted, member).await?;
                Ok(kubeadm::bring_back(&runner, *etcd).await?)
            }
            Passage::Back { .. } => Ok(()),
        }
    }

    /// Notes that the first control plane of this run is ready for everybody.
    pub(super) fn note_served(&self) {
        if let Some(Passage::Forward { served, .. }) = &self.passage {
            served.store(true, Ordering::Relaxed);
        }
    }

    fn served(&self) -> bool {
        matches!(&self.passage, Some(Passage::Forward { served, .. }) if served.load(Ordering::Relaxed))
    }

    /// True while other nodes have another version.
    pub(super) fn rolls(&self) -> bool {
        matches!(self.passage, Some(Passage::Forward { rolling: true, .. }))
    }

    /// This run for some nodes that change their version.
    fn crossing<'a>(&'a self, targets: Targets, passage: Passage, options: &'a StartOptions) -> Run<'a, D, C, K, I> {
        Run {
            name: self.name.clone(),
            host: self.host,
            images: self.images,
            watch: self.watch,
            capabilities: self.capabilities,
            options,
            targets,
            passage: Some(passage),
            refused: Refused::default(),
        }
    }

    /// A cluster that shall be something else from now on.
    fn wanted(&self, file: ClusterFile, spec: SpecFile) -> Result<Wanted, ClusterError> {
        let mut file = file;
        file.spec = spec;
        let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
        Ok(Wanted { file, spec, refused: Vec::new(), previous: None })
    }

    /// Names that daemon sets ask for until all nodes have the version, and what a node of the new
    /// version has in their place.
    fn aliases(&self, file: &ClusterFile, record: &UpgradeRecord) -> Result<Vec<Alias>, ClusterError> {
        let proxy = |version: &KubeVersion| format!("{}/kube-proxy:{version}", versions::IMAGE_REPOSITORY);
        let mut aliases = vec![Alias { image: proxy(&record.to), known_as: proxy(&record.from) }];
        let agent = self.images.agent_image().map_err(image_error)?;
        let known = record.nodes.first().map(|node| &node.agent);
        let known = known.or_else(|| file.status.nodes.first().map(|node| &node.agent));
        if let Some(known_as) = known.filter(|known| !known.is_empty() && **known != agent) {
            aliases.push(Alias { image: agent, known_as: known_as.clone() });
        }
        Ok(aliases)
    }
}
