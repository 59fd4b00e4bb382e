//! The traits every driver implements.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use skiff_config::{ClusterName, NodeName};
use skiff_report::{Diagnose, Reporter};

use crate::{
    Endpoints, Entrance, NetworkRequest, NetworkStatus, NodeNetwork, NodeSpec, NodeStatus, Resources, SnapshotKind,
};

/// The drivers there are. Only `skiff-drivers` and the wiring may decide by it; everyone else asks
/// for [`Capabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriverKind {
    /// Containers of a Docker Engine.
    Docker,
    /// Virtual machines of QEMU.
    Qemu,
    /// Virtual machines of hyperkit, on Intel Macs.
    Hyperkit,
}

impl DriverKind {
    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Qemu => "qemu",
            Self::Hyperkit => "hyperkit",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a driver can do on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Nodes are containers: they share the host's kernel.
    pub shares_host_kernel: bool,
    /// Nodes see the unified cgroup hierarchy (v2); otherwise one hierarchy a controller (v1).
    pub unified_cgroups: bool,
    /// The host can reach a node's own address directly.
    pub routable_nodes: bool,
    /// Memory and processors of a running node can be changed.
    pub live_resize: bool,
    /// The size of a node's disk can be limited.
    pub disk_limit: bool,
    /// Nodes can be given folders of this host.
    pub host_folders: bool,
    /// Ports of nodes can be published at addresses of IPv6.
    pub ipv6_ports: bool,
    /// Nodes can have addresses of IPv6.
    pub ipv6: bool,
    /// What snapshots hold, if there are any.
    pub snapshots: SnapshotKind,
    /// Processors the provider offers to nodes.
    pub cpus: u32,
    /// Memory in bytes the provider offers to nodes.
    pub memory: u64,
}

/// What drivers fail with.
pub trait DriverFailure: Diagnose {
    /// The port of this host that somebody else has, if a start failed because of that.
    fn taken_port(&self) -> Option<u16>;

    /// The node whose machine does not start any more as it is, where a new machine with its data will.
    fn worn_out(&self) -> Option<&NodeName> {
        None
    }
}

/// Makes and keeps the machines of clusters.
///
/// The back end is the truth: a driver holds no state of its own and finds everything again by
/// labels or files that carry the cluster's name. Every method may be called again after skiff was
/// killed in the middle of it.
pub trait Driver: Send + Sync {
    /// What can go wrong.
    type Error: DriverFailure;

    /// Which driver this is.
    fn kind(&self) -> DriverKind;

    /// Checks that the provider is there and may be used, and tells what it can do.
    ///
    /// # Errors
    /// What is missing, with the fix as advice.
    fn check(&self) -> impl Future<Output = Result<Capabilities, Self::Error>> + Send;

    /// Why machines are emulated here, if they are; finding that out may take seconds, once in the life of the
    /// host.
    fn emulation(&self) -> impl Future<Output = Option<String>> + Send {
        async { None }
    }

    /// Makes the cluster's network, or returns the one it has, whatever its subnet.
    ///
    /// # Errors
    /// When the wanted subnet is taken, or none is free.
    fn ensure_network(&self, request: &NetworkRequest)
    -> impl Future<Output = Result<NodeNetwork, Self::Error>> + Send;

    /// Makes the node with its disk or volume, without starting it. What the node stored in an
    /// earlier life under the same name is kept. A node that never started (left half-made by a
    /// killed skiff) is replaced; one that did has to be deleted first.
    ///
    /// # Errors
    /// When a machine of that name exists, the image is missing, or the provider refuses.
    fn create(&self, spec: &NodeSpec, reporter: &dyn Reporter) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Starts the machine, or thaws it; nothing happens if it runs.
    ///
    /// # Errors
    /// When it is absent or does not start, e.g. because a published port is taken.
    fn start(&self, cluster: &ClusterName, node: &NodeName) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Gives the machine other limits, running or not; only asked where `live_resize` is one of the
    /// driver's capabilities. No limit is all that the provider has.
    ///
    /// # Errors
    /// When it is absent, or the provider refuses.
    fn resize(
        &self,
        _cluster: &ClusterName,
        _node: &NodeName,
        _resources: &Resources,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Freezes the machine: it keeps its memory and its place in the network and uses no processor,
    /// and [`start`](Self::start) thaws it. Nothing happens if it is frozen.
    ///
    /// # Errors
    /// When it is absent or not running.
    fn pause(&self, cluster: &ClusterName, node: &NodeName) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Stops the machine, frozen or not: asks it to shut down, then ends it. Nothing happens if it is
    /// off or absent.
    ///
    /// # Errors
    /// When the provider fails.
    fn stop(&self, cluster: &ClusterName, node: &NodeName) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Sees to it that the cluster's entrance is there, leads to these servers and to no others, and runs.
    /// Those who are connected stay so if it was. [`stop`](Self::stop) stops it under its name, and
    /// [`delete_remains`](Self::delete_remains) removes it; [`list`](Self::list) does not tell of it. False
    /// where the driver has no such thing.
    ///
    /// # Errors
    /// When its port or name is taken, the image is missing, or the provider refuses.
    fn ensure_entrance(&self, _entrance: &Entrance) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        async { Ok(false) }
    }

    /// Removes the machine and, with `keep_data` false, all it stored. Nothing happens if it is absent.
    ///
    /// # Errors
    /// When the provider fails.
    fn delete(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        keep_data: bool,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes the cluster's network, its entrance, and any disk or volume without a machine. Nothing happens if
    /// there is none.
    ///
    /// # Errors
    /// When the provider fails.
    fn delete_remains(&self, cluster: &ClusterName) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The nodes of one cluster, or of all; from the back end alone, ordered by name.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn list(&self, cluster: Option<&ClusterName>) -> impl Future<Output = Result<Vec<NodeStatus>, Self::Error>> + Send;

    /// The networks of all clusters, as far as they are outside of skiff's own files: one may be all that a skiff
    /// which was killed has left.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn networks(&self) -> impl Future<Output = Result<Vec<NetworkStatus>, Self::Error>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Where a running node answers.
    ///
    /// # Errors
    /// When it is absent or not running.
    fn endpoints(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> impl Future<Output = Result<Endpoints, Self::Error>> + Send;

    /// Writes what the back end knows about a node (console output, inspection) into a folder and
    /// returns the files. Works on a stopped node too.
    ///
    /// # Errors
    /// When the provider or the folder fails.
    fn collect_logs(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        folder: &Path,
    ) -> impl Future<Output = Result<Vec<PathBuf>, Self::Error>> + Send;
}

/// A node image ready to be imported: one root file system, as a tar file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// Content hash, the image's identity.
    pub key: String,
    /// The root file system, uncompressed tar.
    pub rootfs: PathBuf,
    /// What is in it, e.g. `kubernetes` = `v1.20.2`; kept with the image.
    pub labels: BTreeMap<String, String>,
}

/// A node image that a driver keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Content hash.
    pub key: String,
    /// The driver's name for it, e.g. `skiff-node:v1.20.2-0a1b2c3d`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What is in it.
    pub labels: BTreeMap<String, String>,
}

/// Where a driver keeps node images: Docker's image store, or a folder of disks.
pub trait NodeImages: Driver {
    /// Takes in an image, in the form nodes start from; nothing happens if it is there already.
    ///
    /// # Errors
    /// When the root file system cannot be read or stored.
    fn import_image(
        &self,
        image: &NodeImage,
        reporter: &dyn Reporter,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The images there are, ordered by name.
    ///
    /// # Errors
    /// When the provider does not answer.
    fn list_images(&self) -> impl Future<Output = Result<Vec<ImageInfo>, Self::Error>> + Send;

    /// Removes an image; nothing happens if it is absent.
    ///
    /// # Errors
    /// When nodes still use it.
    fn remove_image(&self, key: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
