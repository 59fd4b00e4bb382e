//! Where Kubernetes comes from, and the node image.
//!
//! An [`ArtifactSource`] yields an [`ArtifactSet`]: the programs of one Kubernetes version, verified.
//! [`DebianSource`] builds it from Debian's source package; [`AnySource`] is the user's choice.

mod auto;
mod cache;
mod debian;
mod error;
mod images;
mod job;
mod node_image;
mod official;
mod rootfs;
mod set;
mod source;
mod tools;
mod vm_kit;

pub use auto::AnySource;
pub use debian::{DebianOptions, DebianSource, Stamp};
pub use error::ArtifactError;
pub use images::Digest;
pub use node_image::{Agent, InUse, NodeImageOptions, NodeImageSpec, NodeImageStore, NodeRootfs, node_image_key};
pub use set::{Arch, Artifact, ArtifactSet, ArtifactTree};
pub use source::{ArtifactSource, COMPONENTS, SourceKind};
pub use vm_kit::VmKitStore;
