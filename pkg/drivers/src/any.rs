//! Every driver behind one type, so that the rest of skiff is compiled once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use skiff_config::{ClusterName, NodeName};
use skiff_driver::{
    Capabilities, Driver, DriverFailure, DriverKind, Endpoints, Entrance, ImageInfo, NetworkRequest, NetworkStatus,
    NodeImage, NodeImages, NodeNetwork, NodeSpec, NodeStatus, Resources, Snapshot, SnapshotName, Snapshots,
};
use skiff_driver_docker::DockerDriver;
use skiff_driver_hyperkit::HyperkitDriver;
use skiff_driver_qemu::QemuDriver;
use skiff_report::{Diagnose, ExitCode, Reason, Reporter};
use thiserror::Error;

/// What went wrong in one of the drivers.
#[derive(Debug, Error)]
pub enum DriverError {
    /// In Docker's.
    #[error(transparent)]
    Docker(#[from] skiff_driver_docker::Error),
    /// In QEMU's.
    #[error(transparent)]
    Qemu(#[from] skiff_driver_qemu::Error),
    /// In hyperkit's.
    #[error(transparent)]
    Hyperkit(#[from] skiff_driver_hyperkit::Error),
    /// The driver keeps no snapshots.
    #[error("the driver {kind} keeps no snapshots")]
    NoSnapshots {
        /// The driver.
        kind: DriverKind,
    },
    /// The driver did not say in time how it is.
    #[error("the driver {kind} did not answer within {seconds} s")]
    Late {
        /// The driver.
        kind: DriverKind,
        /// How long skiff waited.
        seconds: u64,
    },
}

impl DriverFailure for DriverError {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::Docker(error) => error.taken_port(),
            Self::Qemu(error) => error.taken_port(),
            Self::Hyperkit(error) => error.taken_port(),
            Self::NoSnapshots { .. } | Self::Late { .. } => None,
        }
    }

    fn worn_out(&self) -> Option<&NodeName> {
        match self {
            Self::Docker(error) => error.worn_out(),
            Self::Qemu(error) => error.worn_out(),
            Self::Hyperkit(error) => error.worn_out(),
            Self::NoSnapshots { .. } | Self::Late { .. } => None,
        }
    }
}

impl Diagnose for DriverError {
    fn reason(&self) -> Reason {
        match self {
            Self::Docker(error) => error.reason(),
            Self::Qemu(error) => error.reason(),
            Self::Hyperkit(error) => error.reason(),
            Self::NoSnapshots { .. } => Reason::new(
                "DRV_NO_SNAPSHOTS",
                ExitCode::DRIVER_UNSUPPORTED,
                "Use --driver=docker or --driver=qemu for clusters with snapshots.",
            ),
            Self::Late { .. } => Reason::new(
                "DRV_NOT_HEALTHY",
                ExitCode::PROVIDER_UNAVAILABLE,
                "Look at the log of what the driver stands on, or choose another --driver.",
            ),
        }
    }
}

/// One of the drivers there are.
#[derive(Debug)]
pub enum AnyDriver {
    /// Containers of a Docker Engine.
    Docker(DockerDriver),
    /// Virtual machines of QEMU.
    Qemu(QemuDriver),
    /// Virtual machines of hyperkit.
    Hyperkit(HyperkitDriver),
}

/// Calls a method of whichever driver it is.
macro_rules! each {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::Docker($driver) => Ok($call.await?),
            AnyDriver::Qemu($driver) => Ok($call.await?),
            AnyDriver::Hyperkit($driver) => Ok($call.await?),
        }
    };
}

impl AnyDriver {
    /// True if machines boot a kernel of their own, which has to be got beside the node image.
    #[must_use]
    pub fn needs_kernel(&self) -> bool {
        self.kind() != DriverKind::Docker
    }
}

impl Driver for AnyDriver {
    type Error = DriverError;

    fn kind(&self) -> DriverKind {
        match self {
            Self::Docker(driver) => driver.kind(),
            Self::Qemu(driver) => driver.kind(),
            Self::Hyperkit(driver) => driver.kind(),
        }
    }

    async fn check(&self) -> Result<Capabilities, DriverError> {
        each!(self, driver => driver.check())
    }

    async fn emulation(&self) -> Option<String> {
        match self {
            Self::Docker(driver) => driver.emulation().await,
            Self::Qemu(driver) => driver.emulation().await,
            Self::Hyperkit(driver) => driver.emulation().await,
        }
    }

    async fn ensure_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, DriverError> {
        each!(self, driver => driver.ensure_network(request))
    }

    async fn create(&self, spec: &NodeSpec, reporter: &dyn Reporter) -> Result<(), DriverError> {
        each!(self, driver => driver.create(spec, reporter))
    }

    async fn start(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), DriverError> {
        each!(self, driver => driver.start(cluster, node))
    }

    async fn resize(&self, cluster: &ClusterName, node: &NodeName, resources: &Resources) -> Result<(), DriverError> {
        each!(self, driver => driver.resize(cluster, node, resources))
    }

    async fn pause(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), DriverError> {
        each!(self, driver => driver.pause(cluster, node))
    }

    async fn stop(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), DriverError> {
        each!(self, driver => driver.stop(cluster, node))
    }

    async fn delete(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), DriverError> {
        each!(self, driver => driver.delete(cluster, node, keep_data))
    }

    async fn ensure_entrance(&self, entrance: &Entrance) -> Result<bool, DriverError> {
        each!(self, driver => driver.ensure_entrance(entrance))
    }

    async fn delete_remains(&self, cluster: &ClusterName) -> Result<(), DriverError> {
        each!(self, driver => driver.delete_remains(cluster))
    }

    async fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, DriverError> {
        each!(self, driver => driver.list(cluster))
    }

    async fn networks(&self) -> Result<Vec<NetworkStatus>, DriverError> {
        each!(self, driver => driver.networks())
    }

    async fn endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, DriverError> {
        each!(self, driver => driver.endpoints(cluster, node))
    }

    async fn collect_logs(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, DriverError> {
        each!(self, driver => driver.collect_logs(cluster, node, folder))
    }
}

impl NodeImages for AnyDriver {
    async fn import_image(&self, image: &NodeImage, reporter: &dyn Reporter) -> Result<(), DriverError> {
        each!(self, driver => driver.import_image(image, reporter))
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>, DriverError> {
        each!(self, driver => driver.list_images())
    }

    async fn remove_image(&self, key: &str) -> Result<(), DriverError> {
        each!(self, driver => driver.remove_image(key))
    }
}

/// The same with the driver of this cluster if it keeps snapshots; the others refuse.
macro_rules! each_with_snapshots {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::Docker($driver) => Ok($call.await?),
            AnyDriver::Qemu($driver) => Ok($call.await?),
            AnyDriver::Hyperkit(_) => Err(DriverError::NoSnapshots { kind: $self.kind() }),
        }
    };
}

/// Drivers without snapshots refuse; their [`Capabilities`] say so before.
impl Snapshots for AnyDriver {
    async fn save_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), DriverError> {
        each_with_snapshots!(self, driver => driver.save_snapshot(cluster, node, name, marks))
    }

    async fn restore_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> Result<(), DriverError> {
        each_with_snapshots!(self, driver => driver.restore_snapshot(cluster, node, name))
    }

    async fn list_snapshots(&self, cluster: &ClusterName, node: &NodeName) -> Result<Vec<Snapshot>, DriverError> {
        each_with_snapshots!(self, driver => driver.list_snapshots(cluster, node))
    }

    async fn delete_snapshot(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        name: &SnapshotName,
    ) -> Result<(), DriverError> {
        each_with_snapshots!(self, driver => driver.delete_snapshot(cluster, node, name))
    }
}
