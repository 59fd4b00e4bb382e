//! One run of one behaviour: fresh names before it, a clean host after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, TcpListener},
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::FutureExt;
use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName, Protocol};
use skiff_report::Silent;
use tempfile::TempDir;

use crate::{
    MachineState, NetworkRequest, NodeImage, NodeImages, NodeNetwork, NodeRole, NodeSpec, NodeStatus, Published,
    Purpose, Resources, SeedFile,
};

/// What the suite needs from the crate that runs it.
#[derive(Debug)]
pub struct Subject<D> {
    /// The driver under test.
    pub driver: D,
    /// A root file system that starts in a moment and stops when asked to.
    pub rootfs: PathBuf,
    /// A folder that lives as long as the test.
    pub folder: TempDir,
}

/// Numbers trials, ports and clusters within this process.
static COUNTER: AtomicU32 = AtomicU32::new(0);

fn next() -> u32 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// A running behaviour.
#[derive(Debug)]
pub struct Trial<D> {
    /// The driver under test.
    pub driver: D,
    /// The image that nodes of this trial are made from.
    pub image: NodeImage,
    /// A folder for files.
    pub folder: PathBuf,
    clusters: Mutex<BTreeSet<ClusterName>>,
}

/// Runs one behaviour and deletes all it made, also when it failed.
///
/// # Panics
/// When the driver breaks the contract.
pub async fn run<D: NodeImages>(subject: Subject<D>, behaviour: impl AsyncFnOnce(&Trial<D>)) {
    let image = NodeImage {
        // Drivers may tell images apart by the first digits of their keys.
        key: format!("{:06x}{:06x}{:052x}", process::id(), next(), 0xc0de_u32),
        rootfs: subject.rootfs,
        labels: BTreeMap::from([("kubernetes".to_owned(), "v0.0.0".to_owned())]),
    };
    let trial =
        Trial { driver: subject.driver, image, folder: subject.folder.path().to_owned(), clusters: Mutex::default() };
    trial.driver.import_image(&trial.image, &Silent).await.expect("importing the test image");
    let outcome = AssertUnwindSafe(behaviour(&trial)).catch_unwind().await;
    let clean = AssertUnwindSafe(trial.clean()).catch_unwind().await;
    if let Err(panic) = outcome.and(clean) {
        resume_unwind(panic);
    }
}

impl<D: NodeImages> Trial<D> {
    /// A cluster name that nobody else uses; its nodes and network are deleted after the trial.
    pub fn cluster(&self) -> ClusterName {
        let name: ClusterName =
            format!("contract-{:x}-{}", process::id(), next()).parse().expect("a name within the rules");
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        name
    }

    /// The cluster's network, on a subnet of the driver's choice.
    pub async fn network(&self, cluster: &ClusterName) -> NodeNetwork {
        self.driver.ensure_network(&request(cluster, None)).await.expect("a network")
    }

    /// A control-plane node, first of its cluster, whose network exists.
    pub async fn spec(&self, cluster: &ClusterName) -> NodeSpec {
        let network = self.network(cluster).await;
        NodeSpec {
            cluster: cluster.clone(),
            name: cluster.node(0),
            role: NodeRole::ControlPlane,
            image: self.image.key.clone(),
            address: address(network.subnet, 2),
            network,
            resources: Resources { cpus: Some(0.5), memory: Some(64 << 20), disk: None },
            published: vec![published(Purpose::Ssh, 22), published(Purpose::ApiServer, 8443)],
            mounts: Vec::new(),
            seed: vec![SeedFile { path: "/etc/machine-id".to_owned(), mode: 0o444, contents: b"0\n".to_vec() }],
            marks: BTreeMap::from([("owner".to_owned(), "7:1:2".to_owned())]),
        }
    }

    /// A node of [`spec`](Self::spec), made and, if asked, started.
    pub async fn node(&self, cluster: &ClusterName, start: bool) -> NodeSpec {
        let spec = self.spec(cluster).await;
        self.driver.create(&spec, &Silent).await.expect("a node");
        if start {
            self.driver.start(cluster, &spec.name).await.expect("a running node");
        }
        spec
    }

    /// What the driver tells of a node.
    pub async fn status(&self, cluster: &ClusterName, node: &NodeName) -> Option<NodeStatus> {
        let nodes = self.driver.list(Some(cluster)).await.expect("the cluster's nodes");
        nodes.into_iter().find(|status| status.name == *node)
    }

    /// What the node's machine is doing; `None` when the driver does not know the node.
    pub async fn state(&self, cluster: &ClusterName, node: &NodeName) -> Option<MachineState> {
        self.status(cluster, node).await.map(|status| status.state)
    }

    async fn clean(&self) {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for cluster in clusters {
            for node in self.driver.list(Some(&cluster)).await.expect("the cluster's nodes") {
                self.driver.delete(&cluster, &node.name, false).await.expect("deleting a node");
            }
            self.driver.delete_remains(&cluster).await.expect("deleting the network");
        }
        self.driver.remove_image(&self.image.key).await.expect("removing the image");
    }
}

/// Asks for a network as plain as they come.
pub(super) fn request(cluster: &ClusterName, subnet: Option<Ipv4Net>) -> NetworkRequest {
    NetworkRequest { cluster: cluster.clone(), subnet, ipv6: false, marks: BTreeMap::new() }
}

/// A subnet that no driver chooses by itself and no other trial asks for.
pub(super) fn subnet() -> Ipv4Net {
    let [_, _, high, low] = (process::id() % 200 * 200 + next()).to_be_bytes();
    Ipv4Net::new_assert(Ipv4Addr::new(10, high, low, 0), 24)
}

/// The `n`th address of a subnet.
pub(super) fn address(subnet: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + n)
}

/// A port of the node, published on a port of the loopback address that nobody listens on.
///
/// Ports above 32768 are left out: the system gives those to outgoing connections.
pub(super) fn published(purpose: Purpose, node_port: u16) -> Published {
    let first = process::id() % 2000 * 6;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = std::iter::repeat_with(|| u16::try_from(20_000 + (first + next()) % 12_000).expect("below 32000"))
        .take(12_000)
        .find(free)
        .expect("a free port");
    Published { purpose, host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), host_port: port, node_port, protocol: Protocol::Tcp }
}
