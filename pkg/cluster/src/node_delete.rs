//! Nodes that leave a cluster.

use std::{fs, io, net::Ipv4Addr, time::Duration};

use futures_util::future::join_all;
use skiff_bootstrap::kubeadm;
use skiff_config::{ClusterFile, ClusterName, ClusterSpec, NodeName, NodeRecord};
use skiff_driver::{Driver, MachineState, NodeRole};
use skiff_runner::{Connect, Runner};

use crate::{
    ClusterError, ConnectApi, Host, entrance,
    host::driver_error,
    kubeconfig, living,
    nodes::{self, control_planes},
    start::tell_control_planes,
};

/// How long a node that runs may take to let skiff in.
const SSH_PATIENCE: Duration = Duration::from_secs(30);

/// How to let a node go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// How long its pods may take to go elsewhere.
    pub patience: Duration,
    /// Ask no disruption budget, and go on where pods cannot go elsewhere.
    pub force: bool,
}

/// Takes a node out of its cluster: moves its pods away, ends its part in etcd, and removes its
/// machine with its data. May be repeated.
///
/// # Errors
/// When it is the only control plane, no other one works, or its pods cannot go; it stays then.
pub async fn delete_node<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    node: &str,
    leave: Leave,
) -> Result<NodeName, ClusterError> {
    let _lock = host.lock(name).await?;
    let file = host.load(name)?;
    let record = nodes::record(&file, Some(node))?.clone();
    if control_planes(&file).all(|other| other.name == record.name) {
        return Err(ClusterError::OnlyControlPlane { cluster: name.clone(), node: record.name });
    }
    let through = other_control_plane(host, &file, &record).await?;
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let runs = live.iter().any(|machine| machine.name == record.name && machine.state == MachineState::Running);
    // Of a machine that is off nobody would ever confirm that its pods have ended.
    if runs && !record.applied.is_empty() {
        host.reporter.info(&format!("Moving the pods of node {} away", record.name));
        if let Err(error) = kubeadm::drain(&through, &record.name, leave.patience, leave.force).await {
            if !leave.force {
                // What could not be emptied goes on as before.
                kubeadm::uncordon(&through, &record.name).await?;
                return Err(error.into());
            }
            host.reporter.warn(&format!("{error}; it is removed all the same"));
        }
    }
    tell_ports(host, &file, &record)?;
    host.reporter.info(&format!("Removing node {}", record.name));
    if let Err(error) = leave_etcd(&record, &through).await {
        kubeadm::uncordon(&through, &record.name).await?;
        return Err(error);
    }
    take_out(host, file, &record, &through).await?;
    Ok(record.name)
}

/// Ports that the user has had published on a node go with it.
fn tell_ports<D, C, K>(host: &Host<D, C, K>, file: &ClusterFile, record: &NodeRecord) -> Result<(), ClusterError> {
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let ports: Vec<String> = spec.ports_of(record.index).map(|port| port.host_port.to_string()).collect();
    if !ports.is_empty() {
        let ports = ports.join(", ");
        host.reporter.warn(&format!("{ports} of this host led to node {}: --ports names another one", record.name));
    }
    Ok(())
}

/// Ends a control plane's part in etcd, while its etcd still runs: afterwards it would count as a
/// member that does not answer. etcd refuses where too few would be left that do.
async fn leave_etcd<R: Runner>(record: &NodeRecord, through: &R) -> Result<(), ClusterError> {
    if NodeRole::parse(&record.role) == Some(NodeRole::ControlPlane) {
        let member = kubeadm::Member { name: record.name.clone(), address: record.address };
        kubeadm::remove_member(through, &member).await?;
    }
    Ok(())
}

/// Removes what there is of a node that never became part of the cluster.
pub(crate) async fn remove<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    node: &NodeName,
) -> Result<(), ClusterError> {
    let file = host.load(name)?;
    let record = nodes::record(&file, Some(node.as_str()))?.clone();
    let through = other_control_plane(host, &file, &record).await?;
    leave_etcd(&record, &through).await?;
    take_out(host, file, &record, &through).await
}

/// A way into a control plane that works and is another node.
async fn other_control_plane<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    record: &NodeRecord,
) -> Result<C::Runner, ClusterError> {
    let mut others = file.clone();
    others.status.nodes.retain(|other| other.name != record.name);
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let (through, _) = living::control_plane(host, &others, &spec).await?;
    nodes::connect(host, &spec.name, &through.name, SSH_PATIENCE).await
}

/// Removes a node, in an order that may be cut off anywhere and begun again.
async fn take_out<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    mut file: ClusterFile,
    record: &NodeRecord,
    through: &C::Runner,
) -> Result<(), ClusterError> {
    let name = file.metadata.name.clone();
    host.driver.delete(&name, &record.name, false).await.map_err(driver_error)?;
    // After its kubelet is gone, which would bring it back.
    kubeadm::forget(through, &record.name).await?;
    file.status.nodes.retain(|other| other.name != record.name);
    succeed(&mut file);
    note_size(&mut file);
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    if record.apiserver_port.is_some() {
        entrance::open(host, &mut file, &spec).await?;
        tell_workers(host, &file, &spec).await?;
        kubeconfig::lead_to_living(host, &file, &spec).await?;
    }
    host.store.save(&file)?;
    // A node that gets the name later is another one.
    let folder = host.store.profile_dir(&name).join("nodes").join(record.name.as_str());
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            host.reporter.warn(&format!("{} could not be removed: {error}", folder.display()));
        }
        _ => {}
    }
    Ok(())
}

/// Where the first node has left, puts the next control plane in its place: what needs one node of the
/// cluster takes the first.
fn succeed(file: &mut ClusterFile) {
    let nodes = &mut file.status.nodes;
    if let Some(at) = nodes.iter().position(|record| record.apiserver_port.is_some()) {
        nodes[..=at].rotate_right(1);
    }
}

/// Brings what was asked for in line with the nodes there are, so that a start which repeats it asks
/// for nothing new.
pub(crate) fn note_size(file: &mut ClusterFile) {
    let servers = control_planes(file).count();
    file.spec.nodes = Some(file.status.nodes.len().to_string());
    file.spec.ha = (servers >= 3).then(|| "true".to_owned());
}

/// Tells all workers that run where API servers are. Those that are off learn it when they start.
pub(crate) async fn tell_workers<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
) -> Result<(), ClusterError> {
    let live = host.driver.list(Some(&spec.name)).await.map_err(driver_error)?;
    let servers: Vec<Ipv4Addr> = control_planes(file).map(|record| record.address).collect();
    let running = |record: &&NodeRecord| {
        live.iter().any(|machine| machine.name == record.name && machine.state == MachineState::Running)
    };
    let workers = file.status.nodes.iter().filter(|record| record.apiserver_port.is_none()).filter(running);
    let told = join_all(workers.map(async |record: &NodeRecord| {
        let runner = nodes::connect(host, &spec.name, &record.name, SSH_PATIENCE).await?;
        tell_control_planes(&runner, &servers, spec.apiserver.port).await
    }));
    told.await.into_iter().collect()
}
