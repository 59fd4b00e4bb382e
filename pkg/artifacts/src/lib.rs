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
mod official;
mod set;
mod source;

pub use auto::AnySource;
pub use debian::{DebianOptions, DebianSource, Stamp};
pub use error::ArtifactError;
pub use set::{Arch, Artifact, ArtifactSet, ArtifactTree};
pub use source::{ArtifactSource, COMPONENTS, SourceKind};
