//! A driver that keeps everything in memory, for the tests of those who use drivers.

mod error;
mod snapshots;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_report::Reporter;

pub use self::error::FakeError;
use crate::{
    Capabilities, Driver, DriverKind, Endpoints, Entrance, ImageInfo, MachineState, NetworkRequest, NetworkStatus,
    NodeImage, NodeImages, NodeNetwork, NodeRole, NodeSpec, NodeStatus, Published, Purpose, Resources, SnapshotKind,
};

#[derive(Debug)]
struct Machine {
    spec: NodeSpec,
    state: MachineState,
    /// It does not start.
    worn_out: bool,
}

/// What is left of a node whose machine was deleted with its data kept.
#[derive(Debug)]
struct Disk {
    cluster: ClusterName,
    role: NodeRole,
    address: Ipv4Addr,
    marks: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    networks: BTreeMap<ClusterName, NodeNetwork>,
    network_marks: BTreeMap<ClusterName, BTreeMap<String, String>>,
    machines: BTreeMap<NodeName, Machine>,
    disks: BTreeMap<NodeName, Disk>,
    images: BTreeMap<String, ImageInfo>,
    entrances: BTreeMap<ClusterName, Entrance>,
    snapshots: snapshots::Kept,
    calls: Vec<String>,
    failures: Vec<&'static str>,
    emulation: Option<String>,
    held_ports: BTreeSet<u16>,
}

/// Keeps nodes in memory and behaves as the contract asks.
#[derive(Debug)]
pub struct FakeDriver {
    kind: DriverKind,
    capabilities: Capabilities,
    state: Mutex<State>,
}

impl Default for FakeDriver {
    fn default() -> Self {
        let capabilities = Capabilities {
            shares_host_kernel: true,
            unified_cgroups: true,
            routable_nodes: true,
            live_resize: true,
            ipv6_ports: true,
            disk_limit: false,
            host_folders: true,
            ipv6: true,
            snapshots: SnapshotKind::Memory,
            cpus: 8,
            memory: 16 << 30,
        };
        Self::new(DriverKind::Docker, capabilities)
    }
}

impl FakeDriver {
    /// A driver that calls itself `kind` and can do what `capabilities` say.
    #[must_use]
    pub fn new(kind: DriverKind, capabilities: Capabilities) -> Self {
        Self { kind, capabilities, state: Mutex::default() }
    }

    /// Lets the next call of a method of [`Driver`] or [`NodeImages`] fail, once for each time this
    /// is called.
    pub fn fail_next(&self, method: &'static str) {
        self.lock().failures.push(method);
    }

    /// Lets machines be emulated from now on, and says why.
    pub fn emulate(&self, why: &str) {
        self.lock().emulation = Some(why.to_owned());
    }

    /// Lets a machine be of no use from now on, as one that was taken out of its network.
    pub fn break_machine(&self, node: &NodeName) {
        if let Some(machine) = self.lock().machines.get_mut(node) {
            machine.state = MachineState::Broken;
        }
    }

    /// Lets a machine never start again, while another one in its place will.
    pub fn wear_out(&self, node: &NodeName) {
        if let Some(machine) = self.lock().machines.get_mut(node) {
            machine.worn_out = true;
        }
    }

    /// Lets a port of the host be somebody else's from now on.
    pub fn hold_port(&self, port: u16) {
        self.lock().held_ports.insert(port);
    }

    /// The calls so far, oldest first, as the method and what it was about: `start skiff`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// What a node was made from.
    #[must_use]
    pub fn spec(&self, node: &NodeName) -> Option<NodeSpec> {
        self.lock().machines.get(node).map(|machine| machine.spec.clone())
    }

    /// The entrance of a cluster.
    #[must_use]
    pub fn entrance(&self, cluster: &ClusterName) -> Option<Entrance> {
        self.lock().entrances.get(cluster).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the call and fails it where the test asked so.
    fn enter(&self, method: &'static str, about: &str) -> Result<MutexGuard<'_, State>, FakeError> {
        let mut state = self.lock();
        state.calls.push(format!("{method} {about}").trim_end().to_owned());
        match state.failures.iter().position(|failing| *failing == method) {
            Some(at) => {
                state.failures.remove(at);
                Err(FakeError::Injected { method })
            }
            None => Ok(state),
        }
    }
}

impl State {
    fn machine(&mut self, cluster: &ClusterName, node: &NodeName) -> Result<&mut Machine, FakeError> {
        self.machines
            .get_mut(node)
            .filter(|machine| machine.spec.cluster == *cluster)
            .ok_or_else(|| FakeError::NodeAbsent { node: node.clone() })
    }

    fn owner(&self, subnet: Ipv4Net) -> Option<&ClusterName> {
        let overlaps = |net: &Ipv4Net| net.contains(&subnet.network()) || subnet.contains(&net.network());
        self.networks.iter().find(|(_, network)| overlaps(&network.subnet)).map(|(cluster, _)| cluster)
    }

    fn taken_port(&self, published: &[Published]) -> Option<u16> {
        // A frozen node still holds its ports.
        let live = |machine: &&Machine| matches!(machine.state, MachineState::Running | MachineState::Paused);
        let machines = self.machines.values().filter(live).flat_map(|machine| &machine.spec.published);
        let mut taken = machines.map(|port| &port.host_port).chain(&self.held_ports).copied();
        taken.find(|port| published.iter().any(|mine| mine.host_port == *port))
    }
}

/// The subnets the fake gives out.
fn subnets() -> impl Iterator<Item = Ipv4Net> {
    (0..=255u8).map(|third| Ipv4Net::new_assert(Ipv4Addr::new(10, 77, third, 0), 24))
}

fn endpoint(published: &[Published], purpose: Purpose) -> Option<SocketAddr> {
    published.iter().find(|port| port.purpose == purpose).map(|port| SocketAddr::new(port.host_ip, port.host_port))
}

impl Driver for FakeDriver {
    type Error = FakeError;

    fn kind(&self) -> DriverKind {
        self.kind
    }

    async fn check(&self) -> Result<Capabilities, FakeError> {
        drop(self.enter("check", "")?);
        Ok(self.capabilities)
    }

    async fn emulation(&self) -> Option<String> {
        self.lock().emulation.clone()
    }

    async fn ensure_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, FakeError> {
        let mut state = self.enter("ensure_network", request.cluster.as_str())?;
        if let Some(network) = state.networks.get(&request.cluster) {
            return Ok(network.clone());
        }
        let subnet = match request.subnet {
            Some(subnet) => match state.owner(subnet) {
                Some(owner) => return Err(FakeError::SubnetTaken { subnet, owner: owner.clone() }),
                None => subnet,
            },
            None => subnets().find(|subnet| state.owner(*subnet).is_none()).ok_or(FakeError::NoFreeSubnet)?,
        };
        let gateway = subnet.hosts().next().unwrap_or(subnet.network());
        let network = NodeNetwork { name: request.cluster.to_string(), subnet, gateway, ipv6: request.ipv6, mtu: None };
        state.networks.insert(request.cluster.clone(), network.clone());
        state.network_marks.insert(request.cluster.clone(), request.marks.clone());
        Ok(network)
    }

    async fn create(&self, spec: &NodeSpec, _reporter: &dyn Reporter) -> Result<(), FakeError> {
        let mut state = self.enter("create", spec.name.as_str())?;
        if !state.images.contains_key(&spec.image) {
            return Err(FakeError::ImageMissing { key: spec.image.clone() });
        }
        let foreign = state.disks.get(&spec.name).is_some_and(|disk| disk.cluster != spec.cluster);
        let started = state.machines.get(&spec.name).is_some_and(|machine| machine.state != MachineState::Created);
        if foreign || started {
            return Err(FakeError::NodeExists { node: spec.name.clone() });
        }
        let disk =
            Disk { cluster: spec.cluster.clone(), role: spec.role, address: spec.address, marks: spec.marks.clone() };
        state.disks.entry(spec.name.clone()).or_insert(disk);
        state
            .machines
            .insert(spec.name.clone(), Machine { spec: spec.clone(), state: MachineState::Created, worn_out: false });
        Ok(())
    }

    async fn start(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), FakeError> {
        let mut state = self.enter("start", node.as_str())?;
        let machine = state.machine(cluster, node)?;
        if matches!(machine.state, MachineState::Running | MachineState::Paused) {
            machine.state = MachineState::Running;
            return Ok(());
        }
        if machine.worn_out {
            return Err(FakeError::WornOut { node: node.clone() });
        }
        let published = machine.spec.published.clone();
        if let Some(port) = state.taken_port(&published) {
            return Err(FakeError::PortTaken { port });
        }
        state.machine(cluster, node)?.state = MachineState::Running;
        Ok(())
    }

    async fn resize(&self, cluster: &ClusterName, node: &NodeName, resources: &Resources) -> Result<(), FakeError> {
        let mut state = self.enter("resize", node.as_str())?;
        state.machine(cluster, node)?.spec.resources = *resources;
        Ok(())
    }

    async fn pause(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), FakeError> {
        let mut state = self.enter("pause", node.as_str())?;
        let machine = state.machine(cluster, node)?;
        if !matches!(machine.state, MachineState::Running | MachineState::Paused) {
            return Err(FakeError::NodeAbsent { node: node.clone() });
        }
        machine.state = MachineState::Paused;
        Ok(())
    }

    async fn stop(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), FakeError> {
        let mut state = self.enter("stop", node.as_str())?;
        match state.machine(cluster, node) {
            Ok(machine) if matches!(machine.state, MachineState::Running | MachineState::Paused) => {
                machine.state = MachineState::Stopped;
            }
            _ => {}
        }
        Ok(())
    }

    async fn delete(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), FakeError> {
        let mut state = self.enter("delete", node.as_str())?;
        if state.disks.get(node).is_some_and(|disk| disk.cluster == *cluster) {
            state.machines.remove(node);
            if !keep_data {
                state.disks.remove(node);
                state.snapshots.retain(|(of, _), _| of != node);
            }
        }
        Ok(())
    }

    async fn ensure_entrance(&self, entrance: &Entrance) -> Result<bool, FakeError> {
        let mut state = self.enter("ensure_entrance", entrance.cluster.as_str())?;
        if state.held_ports.contains(&entrance.host_port) {
            return Err(FakeError::PortTaken { port: entrance.host_port });
        }
        state.entrances.insert(entrance.cluster.clone(), entrance.clone());
        Ok(self.capabilities.shares_host_kernel)
    }

    async fn delete_remains(&self, cluster: &ClusterName) -> Result<(), FakeError> {
        let mut guard = self.enter("delete_remains", cluster.as_str())?;
        let state = &mut *guard;
        state.networks.remove(cluster);
        state.network_marks.remove(cluster);
        state.entrances.remove(cluster);
        state.disks.retain(|node, disk| disk.cluster != *cluster || state.machines.contains_key(node));
        Ok(())
    }

    async fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, FakeError> {
        let state = self.enter("list", cluster.map_or("", ClusterName::as_str))?;
        let status = |(name, disk): (&NodeName, &Disk)| {
            let machine = state.machines.get(name);
            NodeStatus {
                cluster: disk.cluster.clone(),
                name: name.clone(),
                role: disk.role,
                state: machine.map_or(MachineState::Missing, |machine| machine.state),
                address: Some(machine.map_or(disk.address, |machine| machine.spec.address)),
                image: machine.map(|machine| machine.spec.image.clone()),
                marks: machine.map_or(&disk.marks, |machine| &machine.spec.marks).clone(),
                snapshots: state
                    .snapshots
                    .keys()
                    .filter(|(of, _)| of == name)
                    .map(|(_, name)| name.to_string())
                    .collect(),
                trouble: None,
            }
        };
        let wanted = |disk: &Disk| cluster.is_none_or(|cluster| disk.cluster == *cluster);
        Ok(state.disks.iter().filter(|(_, disk)| wanted(disk)).map(status).collect())
    }

    async fn networks(&self) -> Result<Vec<NetworkStatus>, FakeError> {
        let state = self.enter("networks", "")?;
        let status = |(cluster, marks): (&ClusterName, &BTreeMap<_, _>)| NetworkStatus {
            cluster: cluster.clone(),
            marks: marks.clone(),
        };
        Ok(state.network_marks.iter().map(status).collect())
    }

    async fn endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, FakeError> {
        let mut state = self.enter("endpoints", node.as_str())?;
        let absent = || FakeError::NodeAbsent { node: node.clone() };
        let machine = state.machine(cluster, node)?;
        if machine.state != MachineState::Running {
            return Err(absent());
        }
        let ssh = endpoint(&machine.spec.published, Purpose::Ssh)
            .unwrap_or(SocketAddr::new(IpAddr::V4(machine.spec.address), 22));
        Ok(Endpoints { ssh, apiserver: endpoint(&machine.spec.published, Purpose::ApiServer) })
    }

    async fn collect_logs(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, FakeError> {
        let mut state = self.enter("collect_logs", node.as_str())?;
        let text = format!("{:?}\n", state.machine(cluster, node)?.state);
        let path = folder.join(format!("{node}.txt"));
        fs::write(&path, text)
            .map_err(|error| FakeError::File { path: path.clone(), message: error.to_string() })
            .map(|()| vec![path])
    }
}

impl NodeImages for FakeDriver {
    async fn import_image(&self, image: &NodeImage, _reporter: &dyn Reporter) -> Result<(), FakeError> {
        let mut state = self.enter("import_image", &image.key)?;
        let size = fs::metadata(&image.rootfs)
            .map_err(|error| FakeError::File { path: image.rootfs.clone(), message: error.to_string() })?
            .len();
        let name = format!("fake-node:{}", image.key);
        let info = ImageInfo { key: image.key.clone(), name, size, labels: image.labels.clone() };
        state.images.insert(image.key.clone(), info);
        Ok(())
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>, FakeError> {
        Ok(self.enter("list_images", "")?.images.values().cloned().collect())
    }

    async fn remove_image(&self, key: &str) -> Result<(), FakeError> {
        let mut state = self.enter("remove_image", key)?;
        if state.machines.values().any(|machine| machine.spec.image == key) {
            return Err(FakeError::ImageInUse { key: key.to_owned() });
        }
        state.images.remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::contract::Subject;

    fn subject() -> Subject<FakeDriver> {
        let folder = tempfile::tempdir().unwrap();
        let rootfs = folder.path().join("rootfs.tar");
        fs::write(&rootfs, [0; 1024]).unwrap();
        Subject { driver: FakeDriver::default(), rootfs, folder }
    }

    crate::driver_contract!(async { subject() });

    mod snapshots {
        use super::subject;

        crate::snapshot_contract!(async { subject() });
    }

    #[tokio::test]
    async fn an_injected_failure_happens_once() {
        let driver = FakeDriver::default();
        driver.fail_next("check");
        assert_eq!(driver.check().await, Err(FakeError::Injected { method: "check" }));
        assert!(driver.check().await.is_ok());
        assert_eq!(driver.calls(), ["check", "check"]);
    }
}
