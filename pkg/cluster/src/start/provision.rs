//! Machines: from records of nodes to nodes that run.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use skiff_bootstrap::Endpoint;
use skiff_config::{ClusterFile, KubeVersion, Limit, NodeName, NodeRecord, Phase};
use skiff_driver::{Driver, MachineState, NetworkRequest, NodeImages, NodeNetwork, NodeRole, NodeStatus};
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Run,
    plan::{self, NodeAction, Wanted},
};
use crate::{
    ClusterError, ConnectApi, ImageSource,
    access::RENEWAL_MARGIN,
    clock, delete,
    host::{driver_error, image_error},
    identity::{Identity, NodeIdentity},
    lease::Lease,
    node_spec::{NodePlan, plan_node},
    port::free_port,
};

/// What the first node's machine is after provisioning.
pub(super) struct Provisioned {
    /// What had to be done to get there.
    pub(super) action: NodeAction,
    /// When the user's patience ends. It begins when the machine runs: making it has no such limit.
    deadline: Instant,
    /// When the machine was started, if it was.
    pub(super) started: Option<SystemTime>,
    /// The cluster's secrets and settings.
    pub(super) identity: Identity,
    /// The node.
    pub(super) plan: NodePlan,
    /// Its public ssh host key.
    pub(super) host_key: String,
}

impl Provisioned {
    /// Notes that the node now is what was planned.
    pub(super) fn mark_applied(&self, file: &mut ClusterFile) {
        for record in file.status.nodes.iter_mut().filter(|record| record.name == self.plan.spec.name) {
            record.applied.clone_from(&self.plan.fingerprint);
        }
    }

    /// What is left of the user's patience.
    pub(super) fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// True if kubeadm has to run.
    pub(super) fn needs_kubeadm(&self) -> bool {
        matches!(self.action, NodeAction::Create | NodeAction::Replace)
    }
}

impl<D, C, K, I> Run<'_, D, C, K, I>
where
    D: Driver + NodeImages,
    C: Connect,
    K: ConnectApi,
    I: ImageSource,
{
    /// Makes and starts the cluster's machine as far as that is needed.
    pub(super) async fn provision(&self, wanted: &mut Wanted) -> Result<Provisioned, ClusterError> {
        let (host, reporter) = (self.host, &*self.host.reporter);
        let name = wanted.spec.name.clone();
        reporter.step(Step::StartingNode, &format!("Starting node {}", name.node(0)));
        let mut live = self.watch.time("driver/list", host.driver.list(Some(&name))).await.map_err(driver_error)?;
        if wanted.file.status.phase == Phase::Creating {
            // What an interrupted start left behind held nothing that anybody could have used. It left
            // a profile too: machines without one are another's, and were refused before.
            if host.store.load(&name)?.is_some() {
                reporter.info("Clearing away what an interrupted start left behind");
                delete::remove_machines(host, &name).await?;
                live.clear();
            }
            wanted.file.status.driver = Some(host.driver.kind().to_string());
            wanted.file.status.created = Some(clock::rfc3339(SystemTime::now()));
            host.store.save(&wanted.file)?;
        }
        let network = self.network(wanted).await?;
        self.first_record(wanted, &network, &live).await?;
        let endpoint =
            Endpoint { host: wanted.file.status.nodes[0].address.to_string(), port: wanted.spec.apiserver.port };
        let identity = self.identity(wanted, endpoint)?;
        let record = &wanted.file.status.nodes[0];
        let node_identity = NodeIdentity::load_or_make(&host.store, &name, &record.name)?;
        let mut plan = plan_node(&identity, &node_identity, record, &network, &self.capabilities, SystemTime::now())?;
        plan.spec.marks = Lease::load(&host.store, &name)?.marks();
        let state = live.iter().find(|node| node.name == record.name).map(|node| node.state);
        let expiring = expiring(&wanted.file, identity.config.leaf_validity, SystemTime::now());
        let action = plan::node_action(state, record.applied == plan.fingerprint && !expiring);
        let record = &mut wanted.file.status.nodes[0];
        record.memory = plan.spec.resources.memory.filter(|_| matches!(wanted.spec.memory, Limit::Auto));
        // Should this run be killed from here on, the next one must not take the machine for finished.
        if matches!(action, NodeAction::Create | NodeAction::Replace) {
            record.applied.clear();
            record.made = Some(clock::rfc3339(SystemTime::now()));
            host.store.save(&wanted.unproven())?;
        }
        if action == NodeAction::Replace {
            let why = match state {
                Some(MachineState::Created) => "was half-made",
                _ if expiring => "has certificates that are about to end",
                _ => "was made with other settings",
            };
            reporter.info(&format!("Node {} {why}: making it anew with its data", plan.spec.name));
        }
        let started = (action != NodeAction::Keep).then(SystemTime::now);
        self.act(action, &plan).await?;
        let deadline = Instant::now() + self.options.wait_timeout;
        Ok(Provisioned { action, deadline, started, identity, plan, host_key: node_identity.host_key_public })
    }

    async fn network(&self, wanted: &mut Wanted) -> Result<NodeNetwork, ClusterError> {
        let status = &wanted.file.status;
        let subnet = status.subnet.or(wanted.spec.subnet).or_else(|| {
            // The subnet around a fixed address, as minikube derives it.
            wanted.spec.static_ip.and_then(|ip| ipnet::Ipv4Net::new(ip, 24).ok()).map(|net| net.trunc())
        });
        let request = NetworkRequest { cluster: wanted.spec.name.clone(), subnet };
        let network =
            self.watch.time("driver/network", self.host.driver.ensure_network(&request)).await.map_err(driver_error)?;
        wanted.file.status.subnet = Some(network.subnet);
        Ok(network)
    }

    /// Sees to it that the first node has a record, with an image that exists.
    async fn first_record(
        &self,
        wanted: &mut Wanted,
        network: &NodeNetwork,
        live: &[NodeStatus],
    ) -> Result<(), ClusterError> {
        let running = live.iter().any(|node| node.state == MachineState::Running);
        match wanted.file.status.nodes.first() {
            // A machine that runs needs its image no more.
            Some(record) if running && !record.image.is_empty() => {}
            Some(record) => {
                let images = self.host.driver.list_images().await.map_err(driver_error)?;
                if !images.iter().any(|image| image.key == record.image) {
                    let image = self.ensure_image(&wanted.spec.kubernetes_version).await?;
                    let agent = self.images.agent_image().map_err(image_error)?;
                    let record = &mut wanted.file.status.nodes[0];
                    (record.image, record.agent) = (image, agent);
                }
            }
            None => {
                let image = self.ensure_image(&wanted.spec.kubernetes_version).await?;
                let record = self.new_record(wanted, network, image)?;
                wanted.file.status.nodes.push(record);
                self.host.store.save(&wanted.file)?;
            }
        }
        Ok(())
    }

    fn new_record(&self, wanted: &Wanted, network: &NodeNetwork, image: String) -> Result<NodeRecord, ClusterError> {
        let mut reserved: BTreeSet<u16> = self.host.reserved_ports()?;
        reserved.extend(wanted.spec.ports.iter().map(|mapping| mapping.host_port));
        let name: NodeName = wanted.spec.name.node(0);
        let taken = network.gateway;
        let first = || network.subnet.hosts().find(|address| *address != taken);
        let address = wanted.spec.static_ip.or_else(first).filter(|address| network.subnet.contains(address));
        let no_room = || ClusterError::NoRoom { what: format!("the subnet {}", network.subnet), node: name.clone() };
        Ok(NodeRecord {
            address: address.ok_or_else(no_room)?,
            role: NodeRole::ControlPlane.to_string(),
            index: 0,
            ssh_port: free_port(wanted.spec.listen_address, &mut reserved)?,
            apiserver_port: Some(free_port(wanted.spec.listen_address, &mut reserved)?),
            image,
            agent: self.images.agent_image().map_err(image_error)?,
            made: None,
            memory: None,
            applied: String::new(),
            name,
        })
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

    async fn act(&self, action: NodeAction, plan: &NodePlan) -> Result<(), ClusterError> {
        let (driver, reporter) = (&self.host.driver, &*self.host.reporter);
        let (cluster, node) = (&plan.spec.cluster, &plan.spec.name);
        if action == NodeAction::Replace {
            driver.stop(cluster, node).await.map_err(driver_error)?;
            driver.delete(cluster, node, true).await.map_err(driver_error)?;
        }
        if matches!(action, NodeAction::Create | NodeAction::Replace) {
            let step = if self.capabilities.shares_host_kernel { Step::CreatingContainer } else { Step::CreatingVm };
            reporter.step(step, &format!("Creating node {node} ({})", size(plan)));
            self.watch.time("node/create", driver.create(&plan.spec, reporter)).await.map_err(driver_error)?;
        }
        if action != NodeAction::Keep {
            self.watch.time("node/start", driver.start(cluster, node)).await.map_err(driver_error)?;
        }
        Ok(())
    }
}

/// True if the certificates that the first node was made with do not last much longer.
fn expiring(file: &ClusterFile, validity: Duration, now: SystemTime) -> bool {
    let made = file.status.nodes.first().and_then(|node| node.made.as_ref()).or(file.status.created.as_ref());
    let made = made.and_then(|text| clock::parse(text));
    made.is_some_and(|made| made + validity.saturating_sub(RENEWAL_MARGIN) < now)
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
