//! The node's root file system before Kubernetes comes into it: Debian packages and skiff's own files.
//!
//! [`recipe`] says how Debian's part is made (what `deploy/node` lists, as arguments of mmdebstrap),
//! [`tree`] holds skiff's files and links that are laid over it.

pub(crate) mod recipe;
pub(crate) mod tree;
