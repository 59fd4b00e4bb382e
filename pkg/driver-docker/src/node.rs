//! A node's container and volume.

use std::{path::Path, time::Duration};

use bollard::{
    body_full,
    errors::Error as EngineError,
    models::{ContainerCreateBody, ContainerCreateResponse, ContainerInspectResponse, ContainerStateStatusEnum},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
        StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
    },
};
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{Endpoints, MachineState, NodeSpec, Purpose, Resources};

use crate::{
    DockerDriver, Error, Resource,
    body::{self, DEVICES, HostFacts, MODULES},
    failure::{self, StartFailure},
    labels::{self, Labels},
    list::is_cut_off,
    port::published,
    seed,
};

/// How long the Engine may take to make a container that somebody else asked for.
const MAKING_TIMEOUT: Duration = Duration::from_mins(1);
/// How often a container that does not freeze is tried.
const FREEZE_TRIES: u32 = 5;
/// Pause between two of these.
const FREEZE_PAUSE: Duration = Duration::from_millis(200);
/// Pause between two looks for it.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A container of ours.
pub(crate) struct Found {
    /// The Engine's name for it, which never means anything else.
    pub(crate) id: String,
    /// What it is doing.
    pub(crate) state: MachineState,
    /// All the Engine tells.
    pub(crate) inspected: ContainerInspectResponse,
}

impl Found {
    pub(crate) fn labels(&self) -> Option<&Labels> {
        self.inspected.config.as_ref()?.labels.as_ref()
    }

    /// True if the Engine takes it for ended, or has never started it.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.state, MachineState::Stopped | MachineState::Created)
    }

    /// True if nothing reaches it in the cluster's network.
    pub(crate) fn is_cut_off(&self, cluster: &ClusterName) -> bool {
        let networks = self.inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.is_some_and(|networks| is_cut_off(self.state, networks.get(cluster.as_str())))
    }
}

impl DockerDriver {
    pub(crate) async fn make_node(&self, spec: &NodeSpec) -> Result<(), Error> {
        let (image, ()) = futures_util::try_join!(self.image_name(&spec.image), self.check_volume(spec))?;
        let facts = self.host_facts(&spec.cluster, &image).await?;
        let request = body::container(spec, &image, &facts);
        let id = match self.make_container(spec, request.clone()).await {
            Ok(made) => made.id,
            Err(error) if failure::status(&error) == Some(409) => {
                self.clear_name(spec).await?;
                let made = self.make_container(spec, request).await;
                made.map_err(|error| failure::create(spec, error))?.id
            }
            Err(error) => return Err(failure::create(spec, error)),
        };
        if let Err(error) = self.plant(spec, &id).await {
            // A node without its seed must not start; should this fail too, the next create clears it.
            let _ = self.remove(&id, &spec.name).await;
            return Err(error);
        }
        Ok(())
    }

    async fn make_container(
        &self,
        spec: &NodeSpec,
        request: ContainerCreateBody,
    ) -> Result<ContainerCreateResponse, EngineError> {
        let options = CreateContainerOptionsBuilder::new().name(spec.name.as_str()).build();
        let docker = self.docker.clone();
        self.making.finish(async move { docker.create_container(Some(options), request).await }).await
    }

    async fn host_facts(&self, cluster: &ClusterName, image: &str) -> Result<HostFacts, Error> {
        // Of another host only what every Linux has is taken for granted: a device that is missing
        // would keep the node from starting, a missing folder is made by the Engine.
        let device = |path: &&str| if self.local { Path::new(path).exists() } else { *path == "/dev/kmsg" };
        Ok(HostFacts {
            privilege: self.privilege(cluster, image).await?.clone(),
            devices: DEVICES.into_iter().filter(device).collect(),
            modules: !self.local || Path::new(MODULES).exists(),
        })
    }

    /// Sees to it that the node's volume, if there is one, is the node's: the Engine would mount
    /// anybody's.
    async fn check_volume(&self, spec: &NodeSpec) -> Result<(), Error> {
        match self.docker.inspect_volume(spec.name.as_str()).await {
            Err(error) if failure::is_absent(&error) => Ok(()),
            Err(error) => Err(failure::engine("looking for a volume")(error)),
            Ok(volume) => match foreign(&volume.labels, &spec.cluster) {
                None => Ok(()),
                Some(owner) => Err(Error::NameTaken { resource: Resource::Volume, name: spec.name.to_string(), owner }),
            },
        }
    }

    /// Removes a node that never started; anything else that has its name is a conflict.
    async fn clear_name(&self, spec: &NodeSpec) -> Result<(), Error> {
        let Some(inspected) = self.holder(spec.name.as_str()).await? else { return Ok(()) };
        let labels = inspected.config.and_then(|config| config.labels).unwrap_or_default();
        if let Some(owner) = foreign(&labels, &spec.cluster) {
            return Err(Error::NameTaken { resource: Resource::Container, name: spec.name.to_string(), owner });
        }
        let state = inspected.state.and_then(|state| state.status);
        match state.map(inspected_state) {
            Some(MachineState::Created) => self.remove(&inspected.id.unwrap_or_default(), &spec.name).await,
            _ => Err(Error::NodeExists { node: spec.name.clone() }),
        }
    }

    /// The container that has a name which is taken. A container that is still being made, for a
    /// process that was killed, has its name already and cannot be seen yet.
    async fn holder(&self, name: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let look = || self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let appears = async {
            loop {
                match look().await {
                    Err(error) if failure::is_absent(&error) => tokio::time::sleep(LOOK_PAUSE).await,
                    other => return other,
                }
            }
        };
        match tokio::time::timeout(MAKING_TIMEOUT, appears).await {
            // It was removed in the meantime.
            Err(_) => Ok(None),
            Ok(found) => found.map(Some).map_err(failure::engine("looking for a container")),
        }
    }

    /// Puts the seed files into the container, and so into its volume.
    async fn plant(&self, spec: &NodeSpec, id: &str) -> Result<(), Error> {
        if spec.seed.is_empty() {
            return Ok(());
        }
        let archive = seed::archive(&spec.seed).map_err(|source| Error::File { path: "seed files".into(), source })?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let planted = self.docker.upload_to_container(id, Some(options), body_full(archive.into())).await;
        planted.map_err(failure::engine(format!("putting files into {}", spec.name)))
    }

    /// The node's container, if it is there and ours. The Engine also takes the beginning of an id
    /// for a name, so the name is compared.
    pub(crate) async fn find(&self, cluster: &ClusterName, node: &NodeName) -> Result<Option<Found>, Error> {
        let inspected = match self.docker.inspect_container(node.as_str(), None::<InspectContainerOptions>).await {
            Err(error) if failure::is_absent(&error) => return Ok(None),
            other => other.map_err(failure::engine("looking for a container"))?,
        };
        let labels = inspected.config.as_ref().and_then(|config| config.labels.as_ref());
        let ours = labels.is_some_and(|labels| foreign(labels, cluster).is_none());
        let named = inspected.name.as_deref().map(|name| name.trim_start_matches('/')) == Some(node.as_str());
        let status = inspected.state.as_ref().and_then(|state| state.status);
        let state = status.map_or(MachineState::Broken, inspected_state);
        Ok(inspected.id.clone().filter(|_| ours && named).map(|id| Found { id, state, inspected }))
    }

    pub(crate) async fn start_node(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        let found = self.find(cluster, node).await?.ok_or_else(absent)?;
        let start = || self.start_container(cluster, &found.id, found.inspected.image.as_ref());
        let mut started = start().await;
        if started.as_ref().is_err_and(|error| failure::start(error) == StartFailure::Network) {
            // The container still means the network that was removed; ours has its name.
            let address = found.labels().and_then(labels::identity).and_then(|identity| identity.address);
            self.rejoin_network(cluster, &found.id, address).await?;
            started = start().await;
        }
        let Err(error) = started else { return Ok(()) };
        let node = node.clone();
        Err(match failure::start(&error) {
            StartFailure::Paused => {
                return self.docker.unpause_container(&found.id).await.map_err(failure::engine("thawing a container"));
            }
            StartFailure::Port(address) => self.port_taken(node, &found, address, error).await,
            StartFailure::Network => Error::NetworkGone { node, source: Box::new(error) },
            StartFailure::Leftover => Error::Leftover { node, source: Box::new(error) },
            StartFailure::Privilege => Error::NotPrivileged { source: Box::new(error) },
            StartFailure::Address => {
                match found.labels().and_then(labels::identity).and_then(|identity| identity.address) {
                    Some(address) => Error::AddressTaken { node, address },
                    None => failure::engine(format!("starting {node}"))(error),
                }
            }
            StartFailure::Other => failure::engine(format!("starting {node}"))(error),
        })
    }

    pub(crate) async fn resize_node(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        resources: &Resources,
    ) -> Result<(), Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        let found = self.find(cluster, node).await?.ok_or_else(absent)?;
        let host = self.capabilities().await?;
        let all = Resources { cpus: Some(f64::from(host.cpus)), memory: Some(host.memory), disk: None };
        let updated = self.docker.update_container(&found.id, body::limits(resources, &all)).await;
        updated.map_err(failure::engine(format!("changing the limits of {node}")))
    }

    pub(crate) async fn pause_node(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        let found = self.find(cluster, node).await?.ok_or_else(absent)?;
        match found.state {
            MachineState::Paused => Ok(()),
            MachineState::Running => self.freeze(&found.id, node).await,
            state => Err(Error::NodeNotRunning { node: node.clone(), state }),
        }
    }

    /// On a host under load the kernel may give up freezing a container half-way, with some of its
    /// processes frozen: it is thawed then and asked again.
    async fn freeze(&self, id: &str, node: &NodeName) -> Result<(), Error> {
        let mut left = FREEZE_TRIES;
        loop {
            let Err(error) = self.docker.pause_container(id).await else { return Ok(()) };
            left -= 1;
            if left == 0 || !failure::is_half_frozen(&error) {
                return Err(failure::engine(format!("freezing {node}"))(error));
            }
            // Refused where nothing is left frozen.
            let _ = self.docker.unpause_container(id).await;
            tokio::time::sleep(FREEZE_PAUSE).await;
        }
    }

    pub(crate) async fn stop_node(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        match self.find(cluster, node).await? {
            Some(found) => self.halt(&found).await,
            None => Ok(()),
        }
    }

    /// Asks the node to shut down, and kills it when it takes too long.
    async fn halt(&self, found: &Found) -> Result<(), Error> {
        let options = StopContainerOptionsBuilder::new().t(i32::from(body::STOP_SECONDS)).build();
        let stopped = self.docker.stop_container(&found.id, Some(options)).await;
        failure::unless(stopped, &[304, 404]).map_err(failure::engine("stopping a container"))
    }

    pub(crate) async fn delete_node(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        keep_data: bool,
    ) -> Result<(), Error> {
        if let Some(found) = self.find(cluster, node).await? {
            if keep_data {
                // What is still to be written belongs to the data.
                self.halt(&found).await?;
            }
            self.end_what_lives_on(cluster, &found).await?;
            self.remove(&found.id, node).await?;
        }
        if keep_data {
            return Ok(());
        }
        self.remove_snapshots(cluster, Some(node)).await?;
        match self.docker.inspect_volume(node.as_str()).await {
            Err(error) if failure::is_absent(&error) => Ok(()),
            Err(error) => Err(failure::engine("looking for a volume")(error)),
            Ok(volume) if foreign(&volume.labels, cluster).is_some() => Ok(()),
            Ok(volume) => self.remove_volume(&volume.name).await,
        }
    }

    /// Ends and removes a container. The Engine answers 409 while another request removes it.
    async fn remove(&self, id: &str, node: &NodeName) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.docker.remove_container(id, Some(options)).await;
        failure::unless(removed, &[404, 409]).map_err(failure::engine(format!("removing the container {node}")))
    }

    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let removed = self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
        failure::unless(removed, &[404]).map_err(failure::engine(format!("removing the volume {name}")))
    }

    pub(crate) async fn remove_remains(&self, cluster: &ClusterName) -> Result<(), Error> {
        let probes = labels::filter(labels::PROBE, Some(cluster.as_str()));
        let (probes, nodes) = futures_util::try_join!(self.containers(&probes), self.nodes(Some(cluster)))?;
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        for probe in probes.into_iter().filter_map(|probe| probe.id) {
            let removed = self.docker.remove_container(&probe, Some(force.clone())).await;
            failure::unless(removed, &[404, 409]).map_err(failure::engine("removing a container"))?;
        }
        for node in nodes.iter().filter(|node| node.state == MachineState::Missing) {
            self.remove_volume(node.name.as_str()).await?;
        }
        self.remove_snapshots(cluster, None).await?;
        self.remove_entrances(cluster).await?;
        self.remove_networks(cluster).await
    }

    pub(crate) async fn node_endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        let found = self.find(cluster, node).await?.ok_or_else(absent)?;
        if found.state != MachineState::Running {
            return Err(Error::NodeNotRunning { node: node.clone(), state: found.state });
        }
        let unpublished = || Error::PortUnpublished { node: node.clone(), purpose: Purpose::Ssh };
        let ssh = published(&found, labels::SSH_PORT).ok_or_else(unpublished)?;
        Ok(Endpoints { ssh, apiserver: published(&found, labels::API_PORT) })
    }
}

/// Whose something is, for a person; `None` when it is the cluster's own.
fn foreign(labels: &Labels, cluster: &ClusterName) -> Option<String> {
    match labels.get(labels::CLUSTER) {
        Some(name) if name == cluster.as_str() => None,
        Some(name) => Some(format!("the cluster {name}")),
        None => Some("something other than skiff".to_owned()),
    }
}

fn inspected_state(state: ContainerStateStatusEnum) -> MachineState {
    match state {
        ContainerStateStatusEnum::CREATED => MachineState::Created,
        ContainerStateStatusEnum::RUNNING => MachineState::Running,
        ContainerStateStatusEnum::PAUSED => MachineState::Paused,
        ContainerStateStatusEnum::EXITED => MachineState::Stopped,
        // A container that restarts is one whose first process keeps ending.
        _ => MachineState::Broken,
    }
}
