//! The driver itself, and the traits it implements.

use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{
    Capabilities, Driver, DriverKind, Endpoints, ImageInfo, NetworkRequest, NodeImage, NodeImages, NodeNetwork,
    NodeSpec, NodeStatus, SnapshotKind,
};
use skiff_report::Reporter;
use skiff_vm::{DiskTool, Kit, Machines};

use crate::{Error, Options, Platform, host, program::Program};

/// The subnet that vmnet gives out to all machines of the host, unless somebody changed that.
const VMNET: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 168, 64, 0), 24);

/// Nodes as virtual machines of hyperkit.
#[derive(Debug)]
pub struct HyperkitDriver {
    pub(crate) options: Options,
    pub(crate) machines: Machines,
}

impl HyperkitDriver {
    /// A driver over a folder of machines. Nothing is looked at yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let machines = Machines::at(&options.machines, DiskTool::raw(), Some(VMNET));
        Self { options, machines }
    }

    /// The program, once it is clear that it can run here.
    pub(crate) async fn program(&self) -> Result<Program, Error> {
        let platform = match &self.options.platform {
            Some(platform) => platform.clone(),
            None => Platform::of_this_host().await,
        };
        if self.options.program.is_none() || platform.apple_silicon {
            platform.check()?;
        }
        let program = Program::find(self.options.program.as_deref())?;
        program.check_rights()?;
        Ok(program)
    }
}

impl Driver for HyperkitDriver {
    type Error = Error;

    fn kind(&self) -> DriverKind {
        DriverKind::Hyperkit
    }

    async fn check(&self) -> Result<Capabilities, Error> {
        self.program().await?.version().await?;
        Ok(Capabilities {
            shares_host_kernel: false,
            unified_cgroups: true,
            // The host reaches a machine by its lease, which may move; its own address lies in a
            // subnet that only the machines of the cluster know.
            routable_nodes: false,
            live_resize: false,
            ipv6_ports: true,
            // Their network is made of sockets that carry IPv4.
            ipv6: false,
            disk_limit: true,
            host_folders: false,
            snapshots: SnapshotKind::None,
            cpus: host::processors(),
            memory: host::memory().await,
        })
    }

    async fn ensure_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, Error> {
        Ok(self.machines.networks.ensure(request).await?)
    }

    async fn create(&self, spec: &NodeSpec, _reporter: &dyn Reporter) -> Result<(), Error> {
        self.make(spec).await
    }

    async fn start(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.run(cluster, node).await
    }

    async fn pause(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.freeze(cluster, node).await
    }

    async fn stop(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.halt(cluster, node).await
    }

    async fn delete(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), Error> {
        self.remove(cluster, node, keep_data).await
    }

    async fn delete_remains(&self, cluster: &ClusterName) -> Result<(), Error> {
        Ok(self.machines.remove_remains(cluster)?)
    }

    async fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, Error> {
        let mut nodes = Vec::new();
        for machine in self.machines.list(cluster)? {
            nodes.push(machine.status(self.state(&machine).await?)?);
        }
        Ok(nodes)
    }

    async fn endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, Error> {
        let machine = self.machines.get(cluster, node)?;
        Ok(machine.endpoints(self.state(&machine).await?)?)
    }

    async fn collect_logs(&self, cluster: &ClusterName, node: &NodeName, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        Ok(self.machines.collect_logs(&self.machines.get(cluster, node)?, folder)?)
    }
}

impl NodeImages for HyperkitDriver {
    async fn import_image(&self, image: &NodeImage, reporter: &dyn Reporter) -> Result<(), Error> {
        Ok(self.machines.images.import(image, &Kit::at(&self.options.kit), reporter).await?)
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>, Error> {
        Ok(self.machines.images.list()?)
    }

    async fn remove_image(&self, key: &str) -> Result<(), Error> {
        Ok(self.machines.remove_image(key).await?)
    }
}
