//! The node image: Debian's part, skiff's files, Kubernetes and its images unpacked ahead, as one
//! root file system in a tar file. Drivers make a container image or a disk of it.
//!
//! Two stages, each a folder of the cache: Debian's part ([`base`]), which depends on the package
//! list alone, and the finished root file system ([`assemble`]).

mod assemble;
mod base;
mod elf;
mod overlay;
mod spec;
mod store;
mod tools;

pub use spec::{Agent, NodeImageSpec, NodeRootfs, node_image_key};
pub use store::{InUse, NodeImageOptions, NodeImageStore};
