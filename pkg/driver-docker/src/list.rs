//! What there is: containers, and nodes with what they do.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, Volume},
    query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder},
};
use skiff_config::ClusterName;
use skiff_driver::{MachineState, NodeStatus};

use crate::{DockerDriver, Error, failure, labels};

impl DockerDriver {
    pub(crate) async fn containers(
        &self,
        filter: &HashMap<&'static str, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>, Error> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(filter).build();
        self.docker.list_containers(Some(options)).await.map_err(failure::engine("listing containers"))
    }

    pub(crate) async fn nodes(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, Error> {
        let filter = labels::filter(labels::CLUSTER, cluster.map(ClusterName::as_str));
        let volumes = async {
            let options = ListVolumesOptionsBuilder::new().filters(&filter).build();
            let listed = self.docker.list_volumes(Some(options)).await;
            listed.map_err(failure::engine("listing volumes"))
        };
        let _settled = self.making.settled().await;
        let (containers, volumes) = futures_util::try_join!(self.containers(&filter), volumes)?;
        let missing = volumes.volumes.unwrap_or_default().into_iter().filter_map(missing_node);
        let present = containers.into_iter().filter_map(present_node);
        // Later entries win: a node with a container is not missing.
        let nodes: BTreeMap<_, _> = missing.chain(present).map(|node| (node.name.clone(), node)).collect();
        Ok(nodes.into_values().collect())
    }
}

fn present_node(container: ContainerSummary) -> Option<NodeStatus> {
    let labels = container.labels?;
    let identity = labels::identity(&labels)?;
    let networks = container.network_settings.and_then(|settings| settings.networks);
    let state = container.state.map_or(MachineState::Broken, listed_state);
    let cut_off = networks.is_some_and(|networks| is_cut_off(state, networks.get(identity.cluster.as_str())));
    let state = if cut_off { MachineState::Broken } else { state };
    Some(NodeStatus {
        cluster: identity.cluster,
        name: identity.name,
        role: identity.role,
        state,
        address: identity.address,
        image: labels.get(labels::IMAGE).cloned(),
        marks: labels::marks(&labels),
        // They are volumes of their own.
        snapshots: Vec::new(),
        trouble: None,
    })
}

/// True if nothing reaches a node from outside, and starting it would not change that: somebody took it
/// out of its network, or the Engine was killed before it had written down that it is in there.
pub(crate) fn is_cut_off(state: MachineState, endpoint: Option<&EndpointSettings>) -> bool {
    match (state, endpoint) {
        (MachineState::Running | MachineState::Paused | MachineState::Stopped, None) => true,
        (MachineState::Running, Some(endpoint)) => endpoint.endpoint_id.as_deref() == Some(""),
        _ => false,
    }
}

fn missing_node(volume: Volume) -> Option<NodeStatus> {
    let identity = labels::identity(&volume.labels)?;
    Some(NodeStatus {
        cluster: identity.cluster,
        name: identity.name,
        role: identity.role,
        state: MachineState::Missing,
        address: identity.address,
        image: None,
        marks: labels::marks(&volume.labels),
        // They are volumes of their own.
        snapshots: Vec::new(),
        trouble: None,
    })
}

fn listed_state(state: ContainerSummaryStateEnum) -> MachineState {
    match state {
        ContainerSummaryStateEnum::CREATED => MachineState::Created,
        ContainerSummaryStateEnum::RUNNING => MachineState::Running,
        ContainerSummaryStateEnum::PAUSED => MachineState::Paused,
        ContainerSummaryStateEnum::EXITED => MachineState::Stopped,
        _ => MachineState::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_way_in_is_cut_off() {
        let endpoint = |id: &str| EndpointSettings { endpoint_id: Some(id.to_owned()), ..Default::default() };
        let (there, lost) = (endpoint("3f2a"), endpoint(""));
        for (state, endpoint, cut_off) in [
            (MachineState::Running, Some(&there), false),
            (MachineState::Running, Some(&lost), true),
            (MachineState::Running, None, true),
            (MachineState::Stopped, Some(&lost), false),
            (MachineState::Stopped, None, true),
            (MachineState::Created, None, false),
        ] {
            assert_eq!(is_cut_off(state, endpoint), cut_off, "{state:?} {endpoint:?}");
        }
    }
}
