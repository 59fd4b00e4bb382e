//! The node image: Debian's part, skiff's files, Kubernetes and its images unpacked ahead, as one
//! root file system in a tar file. Drivers make a container image or a disk of it.

mod assemble;
mod overlay;
mod spec;
mod tools;

pub(crate) use assemble::{build_base, build_rootfs};
pub use spec::{Agent, KubernetesFiles, NodeImageSpec, NodeRootfs, node_image_key};
