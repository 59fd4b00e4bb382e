//! What the fake refuses.

use std::path::PathBuf;

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::{DriverFailure, SnapshotName};

/// What a [`FakeDriver`](super::FakeDriver) refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FakeError {
    /// [`FakeDriver::fail_next`](super::FakeDriver::fail_next) asked for it.
    #[error("{method} failed, as the test asked")]
    Injected {
        /// Name of the method.
        method: &'static str,
    },
    /// The subnet belongs to another cluster.
    #[error("subnet {subnet} is taken by cluster {owner}")]
    SubnetTaken {
        /// The subnet asked for.
        subnet: Ipv4Net,
        /// Who has it.
        owner: ClusterName,
    },
    /// Every subnet is in use.
    #[error("no subnet is free")]
    NoFreeSubnet,
    /// A node of that name exists.
    #[error("node {node} exists")]
    NodeExists {
        /// The node.
        node: NodeName,
    },
    /// There is no such node, or it is not running.
    #[error("node {node} is not there or not running")]
    NodeAbsent {
        /// The node.
        node: NodeName,
    },
    /// Another running node publishes the port.
    #[error("port {port} is taken")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// [`FakeDriver::wear_out`](super::FakeDriver::wear_out) asked for it.
    #[error("the machine of {node} does not start any more")]
    WornOut {
        /// The node.
        node: NodeName,
    },
    /// No image with that key.
    #[error("there is no node image {key}")]
    ImageMissing {
        /// The key.
        key: String,
    },
    /// A node was made from the image.
    #[error("node image {key} is in use")]
    ImageInUse {
        /// The key.
        key: String,
    },
    /// The node runs, or never did.
    #[error("node {node} is neither frozen nor off")]
    NotAtRest {
        /// The node.
        node: NodeName,
    },
    /// The node has such a snapshot.
    #[error("there is a snapshot {name} already")]
    SnapshotExists {
        /// Its name.
        name: SnapshotName,
    },
    /// The node has no such snapshot.
    #[error("there is no snapshot {name}")]
    SnapshotAbsent {
        /// Its name.
        name: SnapshotName,
    },
    /// A file could not be read or written.
    #[error("{path} cannot be used: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl DriverFailure for FakeError {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::PortTaken { port } => Some(*port),
            _ => None,
        }
    }

    fn worn_out(&self) -> Option<&NodeName> {
        match self {
            Self::WornOut { node } => Some(node),
            _ => None,
        }
    }
}

impl Diagnose for FakeError {
    fn reason(&self) -> Reason {
        let (id, exit) = match self {
            Self::Injected { .. } | Self::WornOut { .. } => ("DRV_FAKE", ExitCode::DRIVER_ERROR),
            Self::SubnetTaken { .. } => ("IF_SUBNET_CONFLICT", ExitCode::NETWORK_CONFLICT),
            Self::NoFreeSubnet => ("IF_DEDICATED_NETWORK", ExitCode::NETWORK_ERROR),
            Self::NodeExists { .. } => ("GUEST_NAME_CONFLICT", ExitCode::GUEST_CONFLICT),
            Self::NodeAbsent { .. } => ("GUEST_NODE_RETRIEVE", ExitCode::GUEST_NOT_FOUND),
            Self::PortTaken { .. } => ("GUEST_PORT_IN_USE", ExitCode::GUEST_CONFLICT),
            Self::ImageMissing { .. } => ("GUEST_IMAGE_MISSING", ExitCode::GUEST_NOT_FOUND),
            Self::ImageInUse { .. } => ("GUEST_IMAGE_IN_USE", ExitCode::GUEST_CONFLICT),
            Self::NotAtRest { .. } => ("GUEST_SNAPSHOT_STATE", ExitCode::GUEST_CONFLICT),
            Self::SnapshotExists { .. } => ("GUEST_SNAPSHOT_EXISTS", ExitCode::GUEST_CONFLICT),
            Self::SnapshotAbsent { .. } => ("GUEST_SNAPSHOT_NOT_FOUND", ExitCode::GUEST_NOT_FOUND),
            Self::File { .. } => ("HOST_FILE", ExitCode::HOST_ERROR),
        };
        Reason::new(id, exit, "")
    }
}
