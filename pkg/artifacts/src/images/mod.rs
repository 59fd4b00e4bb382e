//! Container images made by skiff itself, without a container engine.
//!
//! An [`ImageSpec`] lists files and how to run them; [`write_archive`] turns it into an archive that
//! `docker load` and `ctr images import` both read. [`control_plane`] says which images a cluster of
//! a given Kubernetes version needs and what lies in them, [`addons`] does so for addons. The same input always gives the same
//! bytes, so layers keep their digests from build to build.

pub(crate) mod addons;
mod archive;
pub(crate) mod control_plane;
mod digest;
mod spec;

pub(crate) use self::{
    archive::{WrittenImage, write_archive},
    digest::HashingWriter,
    spec::{Content, Entry, ImageSpec, RunConfig},
};
pub use digest::Digest;
