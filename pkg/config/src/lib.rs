//! What a cluster shall be.
//!
//! [`ClusterFile`] is the stored, versioned form (serde, unknown keys refused). It converts into
//! [`ClusterSpec`], the form the rest of skiff works with; [`ClusterSpec::validate`] returns every
//! problem at once. [`versions`] holds every pin of a version or an image.

mod addon;
mod cni;
mod extra_config;
mod file;
mod label;
mod lifetime;
mod manifest;
mod mount;
mod name;
mod network;
mod on_node;
mod port;
mod quantity;
mod spec;
mod upgrade;
mod validate;
mod version;
pub mod versions;

pub use addon::AddonWish;
pub use cni::Cni;
pub use extra_config::{Component, ExtraConfig};
pub use file::{ClusterFile, EntranceRecord, FileError, HostSize, Metadata, NodeRecord, Phase, SpecFile, Status};
pub use label::{InvalidLabel, Label, Taint};
pub(crate) use lifetime::{interval, lifetime};
pub use manifest::{Fault, Manifest, ManifestError};
pub use mount::{InvalidMount, Mount};
pub use name::{ClusterName, InvalidName, NodeName};
pub use network::{Ipv6Networks, ipv6_address, ipv6_beside, service_addresses};
pub use on_node::OnNode;
pub use port::{InvalidPort, PortMapping, Protocol};
pub use quantity::{InvalidCpus, InvalidQuantity, Limit, format_bytes, parse_bytes};
pub use spec::{ApiServer, ClusterSpec, FeatureGate};
pub use upgrade::{UpgradeRecord, UpgradeStage, UpgradedNode};
pub use validate::Problem;
pub use version::{InvalidVersion, KubeVersion};
