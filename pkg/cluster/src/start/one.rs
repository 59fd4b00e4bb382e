//! One node of a cluster that exists: added, or started again.

use skiff_config::{ClusterFile, ClusterName, NodeName, Phase};
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Member, Targets},
    plan::{NodeAction, Wanted},
    records::NewNode,
};
use crate::{
    Api, ClusterError, ConnectApi, Host, ImageSource, StartOptions, access,
    addons::Refused,
    host::{api_error, driver_error},
    kubeconfig, living, manifests,
    node_delete::{self, note_size},
    nodes,
    stopwatch::Stopwatch,
    upgrade,
};

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOutcome {
    /// The node.
    pub node: NodeName,
    /// False if it ran already and nothing was done.
    pub changed: bool,
}

/// Adds a node to a cluster that runs. One that an earlier call left unfinished is finished instead.
///
/// # Errors
/// When the cluster does not run, or the node cannot be made or joined. Nothing is left of it then,
/// unless `keep` was asked.
pub async fn add_node<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource>(
    host: &Host<D, C, K>,
    images: &I,
    name: &ClusterName,
    new: &NewNode,
    options: &StartOptions,
) -> Result<NodeOutcome, ClusterError> {
    let _lock = host.lock(name).await?;
    let mut wanted = existing(host, name)?;
    living::control_plane(host, &wanted.file, &wanted.spec).await?;
    let watch = Stopwatch::start(&*host.reporter);
    let mut run = Run::of_one(host, images, name, &watch, options, name.node(0)).await?;
    let node = run.take_in(&mut wanted, new).await?;
    let kind = if new.control_plane { "control-plane" } else { "worker" };
    host.reporter.step(Step::InitialSetup, &format!("Adding node {node} to cluster {name} as [{kind}]"));
    run.targets = Targets::One(node.clone());
    let first = match run.bring_one_up(wanted, &node).await {
        Ok(_) => return Ok(NodeOutcome { node, changed: true }),
        Err(error) => error,
    };
    run.show_log(&first, false);
    if options.keep {
        return Err(first);
    }
    match node_delete::remove(host, name, &node).await {
        Ok(()) => Err(first),
        Err(undo) => Err(ClusterError::Undo { first: Box::new(first), undo: Box::new(undo) }),
    }
}

/// Starts one node of a cluster again, on its data.
///
/// # Errors
/// When there is no such node, no control plane would run, or the node does not start.
pub async fn start_node<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource>(
    host: &Host<D, C, K>,
    images: &I,
    name: &ClusterName,
    node: &str,
    options: &StartOptions,
) -> Result<NodeOutcome, ClusterError> {
    let _lock = host.lock(name).await?;
    let wanted = existing(host, name)?;
    let node = nodes::record(&wanted.file, Some(node))?.name.clone();
    let watch = Stopwatch::start(&*host.reporter);
    let run = Run::of_one(host, images, name, &watch, options, node.clone()).await?;
    let changed = run.bring_one_up(wanted, &node).await?;
    Ok(NodeOutcome { node, changed })
}

/// A cluster that was usable once.
fn existing<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<Wanted, ClusterError> {
    let file: ClusterFile = host.load(name)?;
    upgrade::refuse_half_way(&host.store, name)?;
    if file.status.phase == Phase::Creating {
        return Err(ClusterError::NotRunning(name.clone()));
    }
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    Ok(Wanted { file, spec, refused: Vec::new(), previous: None })
}

impl<'a, D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'a, D, C, K, I> {
    async fn of_one(
        host: &'a Host<D, C, K>,
        images: &'a I,
        name: &ClusterName,
        watch: &'a Stopwatch<'a>,
        options: &'a StartOptions,
        node: NodeName,
    ) -> Result<Self, ClusterError> {
        let capabilities = match host.capabilities {
            Some(known) => known,
            None => watch.time("driver/check", host.driver.check()).await.map_err(driver_error)?,
        };
        Ok(Self {
            name: name.clone(),
            host,
            images,
            watch,
            capabilities,
            options,
            targets: Targets::One(node),
            passage: None,
            refused: Refused::default(),
        })
    }

    /// Gives a new node a place in the cluster, and notes it before anything is made.
    async fn take_in(&self, wanted: &mut Wanted, new: &NewNode) -> Result<NodeName, ClusterError> {
        let records = &mut wanted.file.status.nodes;
        let same = |control_plane: bool| control_plane == new.control_plane;
        let unfinished = records.iter_mut().find(|node| node.applied.is_empty() && same(node.apiserver_port.is_some()));
        if let Some(record) = unfinished.filter(|record| record.index > 0) {
            (record.labels, record.taints) = (new.labels.clone(), new.taints.clone());
            return Ok(record.name.clone());
        }
        let index = records.iter().map(|record| record.index + 1).max().unwrap_or(0);
        self.host.check_name(&wanted.spec.name)?;
        self.host.check_node_name(&wanted.spec.name, &wanted.spec.name.node(index))?;
        if wanted.spec.node_pod_cidr(index).is_none() {
            return Err(ClusterError::NoRoom {
                what: format!("the pod network {}", wanted.spec.pod_cidr),
                node: wanted.spec.name.node(index),
            });
        }
        let image = self.ensure_image(&wanted.spec.kubernetes_version).await?;
        let network = self.network(wanted).await?;
        let _allocating = self.host.store.allocate(&self.host.command).await?;
        let record = self.new_record(wanted, &network, new, index, image)?;
        let name = record.name.clone();
        wanted.file.status.nodes.push(record);
        note_size(&mut wanted.file);
        wanted.spec = wanted.file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
        self.host.store.save(&wanted.file)?;
        Ok(name)
    }

    /// Brings the one node of this run up. True if there was anything to do.
    async fn bring_one_up(&self, mut wanted: Wanted, node: &NodeName) -> Result<bool, ClusterError> {
        let make = async |wanted: &mut Wanted| Box::pin(self.make_one_usable(wanted, node)).await;
        let fleet = self.mending(&mut wanted, make).await?;
        let control_plane = fleet.members.iter().any(|member| member.role().is_control_plane());
        if control_plane && fleet.members.iter().any(Member::needs_kubeadm) {
            node_delete::tell_workers(self.host, &wanted.file, &wanted.spec).await?;
        }
        fleet.mark_applied(&mut wanted.file);
        self.host.store.save(&wanted.file)?;
        if control_plane {
            kubeconfig::lead_to_living(self.host, &wanted.file, &wanted.spec).await?;
        }
        let changed = fleet.members.iter().any(|member| member.action != NodeAction::Keep);
        let done = if changed { "is part of" } else { "runs already in" };
        self.host.reporter.step(Step::Done, &format!("Node {node} {done} cluster `{}`", wanted.spec.name));
        Ok(changed)
    }

    async fn make_one_usable(&self, wanted: &mut Wanted, node: &NodeName) -> Result<Fleet, ClusterError> {
        let fleet = self.prepare(wanted).await?;
        let (api, served) = match living::control_plane(self.host, &wanted.file, &wanted.spec).await {
            Ok((_, api)) => (api, true),
            Err(error) => (self.only_api(wanted, node)?.ok_or(error)?, false),
        };
        let work = async {
            // The nodes that are there need not wait for this one to be told where it is.
            let routes = async { if served { self.apply_routes(&fleet, wanted, &api).await } else { Ok(()) } };
            tokio::try_join!(routes, self.boot(&fleet, wanted, &api))?;
            let parts = self.apply_parts(&fleet, wanted, &api);
            tokio::try_join!(parts, self.wait_usable(&fleet, wanted, &api))
        };
        self.while_they_run(&fleet, work).await?;
        Ok(fleet)
    }

    /// Applies what keeps routes between nodes, where that is skiff's. Changes nothing where it is there.
    async fn apply_routes(&self, fleet: &Fleet, wanted: &Wanted, api: &K::Api) -> Result<(), ClusterError> {
        let agent = self.agent(wanted)?;
        match manifests::routes(&wanted.spec, &fleet.system(&agent)) {
            Some(routes) => api.apply(&routes, fleet.patience(None)).await.map_err(api_error),
            None => Ok(()),
        }
    }

    /// The API of the node itself: for a control plane while no other one runs.
    pub(super) fn only_api(&self, wanted: &Wanted, node: &NodeName) -> Result<Option<K::Api>, ClusterError> {
        let record = nodes::record(&wanted.file, Some(node.as_str()))?;
        let access = access::access(&self.host.store, &wanted.spec.name, wanted.spec.listen_address, record)?;
        access.map(|access| self.host.api.client(&access).map_err(api_error)).transpose()
    }
}

/// Stops the machine of one node; its data is kept. One that is off stays so.
///
/// # Errors
/// When there is no such node, or the driver fails.
pub async fn stop_node<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    node: &str,
) -> Result<NodeOutcome, ClusterError> {
    let _lock = host.lock(name).await?;
    let Wanted { file, spec, .. } = existing(host, name)?;
    let record = nodes::record(&file, Some(node))?;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let state = live.iter().find(|machine| machine.name == record.name).map(|machine| machine.state);
    let changed = matches!(state, Some(MachineState::Running | MachineState::Paused | MachineState::Broken));
    host.driver.stop(name, &record.name).await.map_err(driver_error)?;
    if record.apiserver_port.is_some() {
        kubeconfig::lead_to_living(host, &file, &spec).await?;
    }
    Ok(NodeOutcome { node: record.name.clone(), changed })
}
