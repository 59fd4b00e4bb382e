//! One node's way to another version, there and back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use skiff_bootstrap::kubeadm::{self, Alias, Evacuation};
use skiff_config::{ClusterFile, KubeVersion, NodeName, UpgradeRecord, UpgradedNode, versions};
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_kubeapi::Condition;
use skiff_runner::Connect;

use super::Journey;
use crate::{
    ClusterError, ConnectApi, ImageSource, StartOptions,
    addons::Refused,
    host::{driver_error, image_error},
    living, nodes,
    start::{
        Run,
        fleet::{Member, Targets},
        plan::Wanted,
        provision::phase,
    },
    upgrade::record,
};

/// How long a node that runs may take to let skiff in.
pub(super) const SSH_PATIENCE: Duration = Duration::from_secs(10);

/// How the nodes of a run change their version.
pub(in crate::start) enum Passage {
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

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Moves a node's pods away. One that was touched already has none that anybody would miss.
    pub(super) async fn drain(&self, journey: &Journey, node: &NodeName) -> Result<(), ClusterError> {
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
    pub(super) async fn through(&self, wanted: &Wanted, node: &NodeName) -> Result<C::Runner, ClusterError> {
        let mut others = wanted.file.clone();
        others.status.nodes.retain(|record| record.name != *node);
        let other = match living::control_plane(self.host, &others, &wanted.spec).await {
            Ok((record, _)) => record.name.clone(),
            Err(_) => living::control_plane(self.host, &wanted.file, &wanted.spec).await?.0.name.clone(),
        };
        nodes::connect(self.host, &self.name, &other, SSH_PATIENCE).await
    }

    /// Brings one node to the version.
    pub(super) async fn move_node(&self, journey: &mut Journey, node: &NodeName) -> Result<(), ClusterError> {
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

    /// Names that daemon sets ask for until all nodes have the version, and what a node of the new
    /// version has in their place.
    pub(super) fn aliases(&self, file: &ClusterFile, record: &UpgradeRecord) -> Result<Vec<Alias>, ClusterError> {
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

    /// This run for some nodes that change their version.
    pub(super) fn crossing<'a>(
        &'a self,
        targets: Targets,
        passage: Passage,
        options: &'a StartOptions,
    ) -> Run<'a, D, C, K, I> {
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

    /// What a machine needs between its start and kubeadm, when its version changes.
    pub(in crate::start) async fn cross(&self, wanted: &Wanted, member: &Member) -> Result<(), ClusterError> {
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
    pub(in crate::start) fn note_served(&self) {
        if let Some(Passage::Forward { served, .. }) = &self.passage {
            served.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn served(&self) -> bool {
        matches!(&self.passage, Some(Passage::Forward { served, .. }) if served.load(Ordering::Relaxed))
    }

    /// True while other nodes have another version.
    pub(in crate::start) fn rolls(&self) -> bool {
        matches!(self.passage, Some(Passage::Forward { rolling: true, .. }))
    }
}
