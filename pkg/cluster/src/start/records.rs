//! What a cluster keeps of its nodes: names, addresses and ports. Names and addresses are given once and for
//! life; of ports see `ports`.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use skiff_config::{NodeRecord, Phase};
use skiff_driver::{Driver, MachineState, NodeImages, NodeNetwork, NodeRole, NodeStatus};
use skiff_runner::Connect;

use super::{Run, plan::Wanted};
use crate::{
    ClusterError, ConnectApi, ImageSource,
    host::{driver_error, image_error},
    port::free_port,
};

/// A node that shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Whether it runs a control plane.
    pub control_plane: bool,
    /// Labels of its own.
    pub labels: BTreeMap<String, String>,
    /// Its taints, each as `key=value:Effect`.
    pub taints: Vec<String>,
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Sees to it that a new cluster's nodes have records, and that each node has an image that exists.
    pub(super) async fn records(
        &self,
        wanted: &mut Wanted,
        network: &NodeNetwork,
        live: &[NodeStatus],
    ) -> Result<(), ClusterError> {
        if wanted.file.status.phase == Phase::Creating {
            let image = self.ensure_image(&wanted.spec.kubernetes_version).await?;
            // From the look at what is taken until it is written down: no two starts choose the same.
            let _allocating = self.host.store.allocate(&self.host.command).await?;
            for index in 0..wanted.spec.nodes {
                self.host.check_node_name(&wanted.spec.name, &wanted.spec.name.node(index))?;
                let control_plane = index < wanted.spec.control_planes();
                let new = NewNode { control_plane, labels: BTreeMap::new(), taints: Vec::new() };
                let record = self.new_record(wanted, network, &new, index, image.clone())?;
                wanted.file.status.nodes.push(record);
            }
            return Ok(self.host.store.save(&wanted.file)?);
        }
        let running = |record: &NodeRecord| {
            live.iter().any(|node| node.name == record.name && node.state == MachineState::Running)
        };
        // A machine that runs needs its image no more.
        let needed = |record: &&mut NodeRecord| {
            self.targets.contain(&record.name) && (!running(record) || record.image.is_empty())
        };
        let mut records: Vec<_> = wanted.file.status.nodes.iter_mut().filter(needed).collect();
        if records.is_empty() {
            return Ok(());
        }
        let images = self.host.driver.list_images().await.map_err(driver_error)?;
        records.retain(|record| !images.iter().any(|image| image.key == record.image));
        if !records.is_empty() {
            let image = self.ensure_image(&wanted.spec.kubernetes_version).await?;
            let agent = self.images.agent_image().map_err(image_error)?;
            for record in records {
                (record.image, record.agent) = (image.clone(), agent.clone());
            }
        }
        Ok(())
    }

    /// A record with an address and ports that nobody else has.
    pub(super) fn new_record(
        &self,
        wanted: &Wanted,
        network: &NodeNetwork,
        new: &NewNode,
        index: u32,
        image: String,
    ) -> Result<NodeRecord, ClusterError> {
        let records = &wanted.file.status.nodes;
        let mut reserved = self.host.reserved_ports(&wanted.file, &wanted.spec)?;
        let name = wanted.spec.name.node(index);
        let mut taken: Vec<Ipv4Addr> = records.iter().map(|node| node.address).collect();
        taken.push(network.gateway);
        taken.extend(wanted.file.status.entrance.map(|entrance| entrance.address));
        let fixed = wanted.spec.static_ip;
        if index > 0 {
            taken.extend(fixed);
        }
        let address = fixed.filter(|_| index == 0).or_else(|| free_address(network.subnet, &taken));
        let address = address.filter(|address| network.subnet.contains(address)).ok_or_else(|| {
            ClusterError::NoRoom { what: format!("the subnet {}", network.subnet), node: name.clone() }
        })?;
        let listen = wanted.spec.listen_address;
        let role = if new.control_plane { NodeRole::ControlPlane } else { NodeRole::Worker };
        Ok(NodeRecord {
            address,
            role: role.to_string(),
            index,
            labels: new.labels.clone(),
            taints: new.taints.clone(),
            ssh_port: free_port(listen, &mut reserved)?,
            apiserver_port: new.control_plane.then(|| free_port(listen, &mut reserved)).transpose()?,
            image,
            agent: self.images.agent_image().map_err(image_error)?,
            made: None,
            memory: None,
            host: None,
            limits: String::new(),
            applied: String::new(),
            name,
        })
    }
}

/// The first address of a subnet that nobody has.
fn free_address(subnet: Ipv4Net, taken: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    subnet.hosts().find(|address| !taken.contains(address))
}
