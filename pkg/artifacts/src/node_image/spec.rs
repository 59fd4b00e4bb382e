//! What a node image is made of, and the hash that names it.

use std::{collections::BTreeMap, path::PathBuf};

use skiff_config::KubeVersion;

use super::elf::require_static;
use crate::{
    images::{Digest, addons, control_plane},
    rootfs::{recipe, tree},
};

/// Raised when the way of assembling changes in a manner that no other part of the key shows.
const FORMAT: &str = "1";

/// The script that puts the tree together.
pub(super) const ASSEMBLE: &str = include_str!("../../../../deploy/node/build/assemble");

/// skiff's agent: one static binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The binary on this host.
    pub path: PathBuf,
    /// Digest of its content.
    pub digest: Digest,
}

impl Agent {
    /// Takes a binary and computes its digest.
    ///
    /// # Errors
    /// When it cannot be read or needs libraries.
    pub fn from_file(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path = path.into();
        require_static(&path)?;
        let digest = Digest::of_file(&path)?;
        Ok(Self { path, digest })
    }

    /// Name of the image that nodes hold it in.
    #[must_use]
    pub fn image(&self) -> String {
        control_plane::agent_reference(&self.digest)
    }
}

/// A node image to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImageSpec {
    /// Kubernetes version.
    pub version: KubeVersion,
    /// Content hash of the artifacts, known before they are obtained.
    pub artifacts: String,
    /// The agent.
    pub agent: Agent,
}

/// A root file system on disk, ready for a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRootfs {
    /// Content hash, the image's identity.
    pub key: String,
    /// Uncompressed tar.
    pub tar: PathBuf,
    /// What is in it.
    pub labels: BTreeMap<String, String>,
}

impl NodeImageSpec {
    /// What the image's labels say.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        BTreeMap::from([
            label("kubernetes", &self.version.to_string()),
            label("agent", self.agent.digest.short(8)),
            label("artifacts", self.artifacts.get(..8).unwrap_or(&self.artifacts)),
            label("debian", recipe::SUITE),
        ])
    }
}

/// The content hash of a node image, computed from what goes into it without building anything.
#[must_use]
pub fn node_image_key(spec: &NodeImageSpec) -> String {
    let parts = [
        FORMAT,
        ASSEMBLE,
        recipe::base_key().as_str(),
        tree::tree_key().as_str(),
        control_plane::PROXY_START,
        addons::REGISTRY_CONFIG,
        &spec.version.to_string(),
        &spec.artifacts,
        spec.agent.digest.as_str(),
    ]
    .join("\0");
    Digest::of(parts.as_bytes()).short(16).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> NodeImageSpec {
        NodeImageSpec {
            version: "v1.20.2".parse().unwrap(),
            artifacts: "a".repeat(64),
            agent: Agent { path: "/agent".into(), digest: Digest::of(b"agent") },
        }
    }

    #[test]
    fn the_key_is_short_and_stable() {
        assert_eq!(node_image_key(&spec()), node_image_key(&spec()));
        assert_eq!(node_image_key(&spec()).len(), 16);
    }

    #[test]
    fn the_key_changes_with_each_ingredient() {
        let other_version = NodeImageSpec { version: "v1.21.0".parse().unwrap(), ..spec() };
        let other_artifacts = NodeImageSpec { artifacts: "b".repeat(64), ..spec() };
        let other_agent = NodeImageSpec { agent: Agent { digest: Digest::of(b"new"), ..spec().agent }, ..spec() };
        for other in [other_version, other_artifacts, other_agent] {
            assert_ne!(node_image_key(&other), node_image_key(&spec()), "{other:?}");
        }
    }

    #[test]
    fn the_key_ignores_where_the_agent_lies() {
        let moved = NodeImageSpec { agent: Agent { path: "/elsewhere".into(), ..spec().agent }, ..spec() };
        assert_eq!(node_image_key(&moved), node_image_key(&spec()));
    }

    #[test]
    fn labels_name_the_versions() {
        let labels = spec().labels();
        assert_eq!(labels["kubernetes"], "v1.20.2");
        assert_eq!(labels["artifacts"], "aaaaaaaa");
    }
}
