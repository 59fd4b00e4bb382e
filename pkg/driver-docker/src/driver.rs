//! The driver itself: its connection, and the traits it implements.

use std::path::{Path, PathBuf};

use bollard::Docker;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{
    Capabilities, Driver, DriverKind, Endpoints, Entrance, ImageInfo, NetworkRequest, NetworkStatus, NodeImage,
    NodeImages, NodeNetwork, NodeSpec, NodeStatus, Resources,
};
use skiff_report::Reporter;
use tokio::sync::OnceCell;

use crate::{
    Error,
    connect::{self, Contact, DEFAULT_HOST},
    making::Making,
    privilege::Privilege,
};

/// Nodes as containers of one Docker Engine.
#[derive(Debug)]
pub struct DockerDriver {
    pub(crate) docker: Docker,
    /// Where the Engine is, for a person.
    pub(crate) host: String,
    /// The Engine was seen to run on this host, so files and routes of this host are the Engine's.
    pub(crate) local: bool,
    /// The Engine's process, where it can be told.
    pub(crate) engine_pid: Option<i32>,
    /// Found out when the first node is made.
    pub(crate) privilege: OnceCell<Privilege>,
    /// Requests that outlive their callers.
    pub(crate) making: Making,
}

impl DockerDriver {
    /// Connects to a Docker named as in `DOCKER_HOST`, or to this host's own.
    ///
    /// # Errors
    /// When Docker is not installed, not running, or out of reach for this user.
    pub async fn connect(host: Option<&str>) -> Result<Self, Error> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST);
        let Contact { docker, local, engine_pid } = connect::connect(host).await?;
        Ok(Self {
            docker,
            host: host.to_owned(),
            local,
            engine_pid,
            privilege: OnceCell::new(),
            making: Making::default(),
        })
    }
}

impl Driver for DockerDriver {
    type Error = Error;

    fn kind(&self) -> DriverKind {
        DriverKind::Docker
    }

    async fn check(&self) -> Result<Capabilities, Error> {
        self.capabilities().await
    }

    async fn ensure_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, Error> {
        self.make_network(request).await
    }

    async fn create(&self, spec: &NodeSpec, _reporter: &dyn Reporter) -> Result<(), Error> {
        self.make_node(spec).await
    }

    async fn start(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.start_node(cluster, node).await
    }

    async fn resize(&self, cluster: &ClusterName, node: &NodeName, resources: &Resources) -> Result<(), Error> {
        self.resize_node(cluster, node, resources).await
    }

    async fn pause(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.pause_node(cluster, node).await
    }

    async fn stop(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.stop_node(cluster, node).await
    }

    async fn ensure_entrance(&self, entrance: &Entrance) -> Result<bool, Error> {
        self.make_entrance(entrance).await?;
        Ok(true)
    }

    async fn delete(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), Error> {
        self.delete_node(cluster, node, keep_data).await
    }

    async fn delete_remains(&self, cluster: &ClusterName) -> Result<(), Error> {
        self.remove_remains(cluster).await
    }

    async fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, Error> {
        self.nodes(cluster).await
    }

    async fn networks(&self) -> Result<Vec<NetworkStatus>, Error> {
        self.network_list().await
    }

    async fn endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, Error> {
        self.node_endpoints(cluster, node).await
    }

    async fn collect_logs(&self, cluster: &ClusterName, node: &NodeName, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        self.write_logs(cluster, node, folder).await
    }
}

impl NodeImages for DockerDriver {
    async fn import_image(&self, image: &NodeImage, reporter: &dyn Reporter) -> Result<(), Error> {
        self.import(image, reporter).await
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>, Error> {
        self.image_infos().await
    }

    async fn remove_image(&self, key: &str) -> Result<(), Error> {
        self.delete_image(key).await
    }
}
