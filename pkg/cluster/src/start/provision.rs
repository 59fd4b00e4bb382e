//! Machines: from records of nodes to nodes that run.

use std::time::{Duration, SystemTime};

use skiff_config::{ClusterName, KubeVersion, Limit, NodeRecord, Phase};
use skiff_driver::{Driver, MachineState, NetworkRequest, NodeImages, NodeNetwork, NodeStatus};
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Member},
    plan::{self, NodeAction, Wanted},
};
use crate::{
    ClusterError, ConnectApi, ImageSource, SnapshotError, clock, delete, entrance,
    host::{driver_error, image_error},
    identity::{Identity, NodeIdentity},
    lease::Lease,
    lifetime::Standing,
    node_spec::{self, NodePlan, Surroundings, plan_node},
    nodes::control_planes,
};

/// How many times as long machines may take that are emulated: alone on a host they take more than ten times as
/// long as containers, and far longer beside other work.
const EMULATED: u32 = 3;

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Works out what has to be done for each node; makes the network and the nodes' identities.
    pub(super) async fn prepare(&self, wanted: &mut Wanted) -> Result<Fleet, ClusterError> {
        let (host, reporter) = (self.host, &*self.host.reporter);
        let name = wanted.spec.name.clone();
        let fresh = wanted.file.status.phase == Phase::Creating;
        reporter.step(Step::StartingNode, &self.starting(wanted));
        let mut live = self.watch.time("driver/list", host.driver.list(Some(&name))).await.map_err(driver_error)?;
        if fresh {
            // What an interrupted start left behind held nothing that anybody could have used. It left
            // a profile too: machines without one are another's, and were refused before.
            if host.store.load(&name)?.is_some() {
                reporter.info("Clearing away what an interrupted start left behind");
                delete::remove_machines(host, &name).await?;
                live.clear();
            }
            wanted.file.status.driver = Some(host.driver.kind().to_string());
            wanted.file.status.created = Some(clock::rfc3339(SystemTime::now()));
            // Nodes of an earlier try may have been others.
            wanted.file.status.nodes.clear();
            wanted.file.status.entrance = None;
            host.store.save(&wanted.file)?;
        }
        let network = self.network(wanted).await?;
        self.records(wanted, &network, &live).await?;
        self.watch.time("driver/entrance", self.entrance(wanted, &network)).await?;
        let endpoint = node_spec::endpoint(&wanted.spec);
        let mut identity = Identity::load_or_make(&host.store, &wanted.spec, endpoint, SystemTime::now())?;
        let servers: Vec<_> = control_planes(&wanted.file).map(|record| record.address).collect();
        identity.config.control_planes = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        let around = Surroundings { network: &network, capabilities: &self.capabilities, control_planes: &servers };
        let size = wanted.file.status.nodes.len();
        let mut members = Vec::new();
        let created = wanted.file.status.created.clone();
        let previous = wanted.previous.as_ref();
        let changes = previous.map(|previous| wanted.file.spec.real_differences(previous)).unwrap_or_default();
        let (changed, reissue) = (!changes.is_empty(), changes.contains_key("certExpiration"));
        for record in wanted.file.status.nodes.iter_mut().filter(|record| self.targets.contain(&record.name)) {
            let before = Before { live: &live, changed, reissue };
            members.push(self.member(&identity, record, created.as_ref(), &around, before)?);
        }
        // Should this run be killed from here on, the next one must not take a machine for finished.
        if members.iter().any(Member::needs_kubeadm) {
            host.store.save(&wanted.unproven())?;
        }
        Ok(Fleet { identity, members, network, size, fresh, patience: self.patience().await })
    }

    /// How long to wait for a machine that runs.
    async fn patience(&self) -> Duration {
        match self.host.driver.emulation().await {
            Some(_) => self.options.wait_timeout.saturating_mul(EMULATED),
            None => self.options.wait_timeout,
        }
    }

    /// Sees to the one way to the control planes, where there are several.
    async fn entrance(&self, wanted: &mut Wanted, network: &NodeNetwork) -> Result<(), ClusterError> {
        if entrance::is_missing(&wanted.file) {
            let _allocating = self.host.store.allocate(&self.host.command).await?;
            entrance::allocate(self.host, &mut wanted.file, &wanted.spec, network.subnet)?;
            self.host.store.save(&wanted.unproven())?;
        }
        entrance::open(self.host, &mut wanted.file, &wanted.spec).await
    }

    fn starting(&self, wanted: &Wanted) -> String {
        let names: Vec<_> = match wanted.file.status.phase {
            Phase::Creating => (0..wanted.spec.nodes).map(|index| wanted.spec.name.node(index)).collect(),
            Phase::Created => wanted.file.status.nodes.iter().map(|record| record.name.clone()).collect(),
        };
        let names: Vec<_> =
            names.iter().filter(|name| self.targets.contain(name)).map(skiff_config::NodeName::as_str).collect();
        format!("Starting node{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
    }

    /// Plans one node, and notes in its record what it is going to be made with.
    fn member(
        &self,
        identity: &Identity,
        record: &mut NodeRecord,
        created: Option<&String>,
        around: &Surroundings<'_>,
        before: Before<'_>,
    ) -> Result<Member, ClusterError> {
        let (host, now) = (self.host, SystemTime::now());
        let (name, spec) = (&identity.config.spec.name, &identity.config.spec);
        let secrets = NodeIdentity::load_or_make(&host.store, name, &record.name)?;
        let mut plan = plan_node(identity, &secrets, record, around, now)?;
        plan.spec.marks = Lease::load(&host.store, name)?.marks();
        let machine = before.live.iter().find(|node| node.name == record.name);
        let state = machine.map(|node| node.state);
        let expiring = Standing::of_node(record, created, identity.config.leaf_validity, now).needs_renewal();
        let as_wanted = record.applied == plan.fingerprint && !expiring && !before.reissue;
        let mut action = plan::node_action(state, as_wanted);
        if action == NodeAction::Replace
            && let Some(machine) = machine.filter(|node| keeps_snapshots(node))
        {
            if before.changed || record.applied.is_empty() {
                return Err(snapshots_in_the_way(name, machine).into());
            }
            // Nobody has asked for another machine: it is what skiff or the time would change about it.
            host.reporter.warn(&format!(
                "Node {} keeps its machine as it is, since its snapshots would go with it: {}",
                machine.name,
                machine.snapshots.join(", ")
            ));
            plan.fingerprint.clone_from(&record.applied);
            action = plan::node_action(state, true);
        }
        record.memory = plan.spec.resources.memory.filter(|_| matches!(spec.memory, Limit::Auto));
        record.host = Some(node_spec::host_size(record.host, &self.capabilities));
        let unfinished = record.applied.is_empty();
        if matches!(action, NodeAction::Create | NodeAction::Replace) {
            record.applied.clear();
            record.made = Some(clock::rfc3339(now));
        }
        if action == NodeAction::Replace {
            let why = match state {
                Some(MachineState::Created) => "was half-made",
                Some(MachineState::Broken) => "does not work any more",
                Some(MachineState::Stopped) if unfinished => "was not brought up to its end",
                _ if expiring => "has certificates that are not good for now, or not for long",
                _ => "was made with other settings",
            };
            host.reporter.info(&format!("Node {} {why}: making it anew with its data", plan.spec.name));
        }
        Ok(Member::new(action, plan, &record.limits))
    }

    pub(super) async fn network(&self, wanted: &mut Wanted) -> Result<NodeNetwork, ClusterError> {
        let status = &wanted.file.status;
        let subnet = status.subnet.or(wanted.spec.subnet).or_else(|| {
            // The subnet around a fixed address, as minikube derives it.
            wanted.spec.static_ip.and_then(|ip| ipnet::Ipv4Net::new(ip, 24).ok()).map(|net| net.trunc())
        });
        let name = wanted.spec.name.clone();
        let marks = Lease::load(&self.host.store, &name)?.marks();
        let request = NetworkRequest { cluster: name, subnet, ipv6: wanted.spec.ipv6.is_some(), marks };
        let network =
            self.watch.time("driver/network", self.host.driver.ensure_network(&request)).await.map_err(driver_error)?;
        wanted.file.status.subnet = Some(network.subnet);
        Ok(network)
    }

    /// The key of a node image that the driver has, built if need be.
    pub(super) async fn ensure_image(&self, version: &KubeVersion) -> Result<String, ClusterError> {
        let reporter = &*self.host.reporter;
        let key = self.images.key(version).await.map_err(image_error)?;
        let images = self.host.driver.list_images().await.map_err(driver_error)?;
        if images.iter().any(|image| image.key == key) {
            return Ok(key);
        }
        reporter.step(Step::DownloadingArtifacts, &format!("Getting Kubernetes {version}"));
        let image = self.watch.time("image/build", self.images.build(version, reporter)).await.map_err(image_error)?;
        reporter.step(Step::PullingBaseImage, "Importing the node image");
        let import = self.host.driver.import_image(&image, reporter);
        self.watch.time("image/import", import).await.map_err(driver_error)?;
        Ok(image.key)
    }

    /// Makes and starts a node's machine as far as that is needed.
    pub(super) async fn provision(&self, member: &Member) -> Result<(), ClusterError> {
        let (driver, reporter, plan) = (&self.host.driver, &*self.host.reporter, &member.plan);
        let (cluster, node) = (&plan.spec.cluster, &plan.spec.name);
        if member.action == NodeAction::Replace {
            driver.stop(cluster, node).await.map_err(driver_error)?;
            driver.delete(cluster, node, true).await.map_err(driver_error)?;
        }
        if member.needs_kubeadm() {
            let step = if self.capabilities.shares_host_kernel { Step::CreatingContainer } else { Step::CreatingVm };
            reporter.step(step, &format!("Creating node {node} ({})", size(plan)));
            self.watch
                .time(&phase("node/create", member), driver.create(&plan.spec, reporter))
                .await
                .map_err(driver_error)?;
        }
        if member.resize {
            reporter.info(&format!("Node {node} may use {} now", size(plan)));
            driver.resize(cluster, node, &plan.spec.resources).await.map_err(driver_error)?;
        }
        if member.action != NodeAction::Keep {
            self.watch.time(&phase("node/start", member), driver.start(cluster, node)).await.map_err(driver_error)?;
        }
        member.runs();
        Ok(())
    }
}

/// Name of a timed phase: as it is for the first node, and with its number for others.
pub(super) fn phase(name: &str, member: &Member) -> String {
    match member.role() {
        skiff_bootstrap::Role::FirstControlPlane => name.to_owned(),
        _ => {
            let full = member.name().as_str();
            format!("{name} {}", full.rsplit('-').next().unwrap_or(full))
        }
    }
}

/// What there was of the nodes before a start.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    /// Their machines.
    live: &'a [NodeStatus],
    /// True if the start was given other settings.
    changed: bool,
    /// True if certificates shall last for another time than those that there are, made with the rest alike.
    reissue: bool,
}

/// True for a machine whose snapshots still can be restored, and only into itself.
pub(super) fn keeps_snapshots(node: &NodeStatus) -> bool {
    let works = matches!(node.state, MachineState::Running | MachineState::Paused | MachineState::Stopped);
    works && !node.snapshots.is_empty()
}

pub(super) fn snapshots_in_the_way(cluster: &ClusterName, node: &NodeStatus) -> SnapshotError {
    SnapshotError::InTheWay { cluster: cluster.clone(), node: node.name.clone(), names: node.snapshots.clone() }
}

/// The node's limits in words.
fn size(plan: &NodePlan) -> String {
    let cpus = plan.spec.resources.cpus.map_or_else(|| "all CPUs".to_owned(), |cpus| format!("{cpus} CPUs"));
    let memory = plan
        .spec
        .resources
        .memory
        .map_or_else(|| "all memory".to_owned(), |bytes| format!("{} memory", skiff_config::format_bytes(bytes)));
    format!("{cpus}, {memory}")
}
