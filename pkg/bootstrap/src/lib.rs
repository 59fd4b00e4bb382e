//! kubeadm: configuration, certificates, init and join over a Runner.
//!
//! Most of this crate is pure. [`ClusterConfig`] and [`NodeConfig`] go in; [`node_files()`] gives all
//! that a node must hold before its first start: certificates ([`pki`]), kubeconfigs
//! ([`kubeconfig`]), kubeadm's configuration for the cluster's Kubernetes version ([`render`]) and
//! the pod network ([`cni`]). [`diagnose`] tells from kubeadm's output and a node's logs why it
//! failed.

pub mod cni;
pub mod diagnose;
mod entropy;
mod error;
mod input;
pub mod kubeadm;
pub mod kubeconfig;
mod node_files;
pub mod pki;
pub mod render;
mod token;

pub use entropy::random_bytes;
pub use error::BootstrapError;
pub use input::{
    CgroupDriver, CgroupVersion, ClusterConfig, DEFAULT_CA_VALIDITY, Endpoint, HostFacts, NodeConfig, NodeIpv6,
    Reserved, Role,
};
pub use node_files::{KUBEADM_CONFIG, NodeFile, node_files};
pub use token::BootstrapToken;
