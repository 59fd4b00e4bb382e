//! The cluster's certificates and keys, made by skiff so that kubeadm only has to check them.
//!
//! [`ClusterPki`] is what a cluster keeps for life; [`NodeCertificates`] is what one control plane
//! gets of it, and can be issued again at any time. Everything is ECDSA P-256 (ssh: ed25519).

mod authority;
mod certificate;
mod cluster;
mod node;
mod sans;
mod ssh;

pub use authority::{Authority, Pair, Validity};
pub use certificate::Certificate;
pub use cluster::{ClusterPki, PkiFile, ServiceAccountKey};
pub use node::{Group, NodeCertificates, issue_kubelet_server, privileged_group};
pub use sans::Sans;
pub use ssh::SshKey;
