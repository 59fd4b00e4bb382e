//! Names of clusters and nodes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Words that are commands or flags in scripts people already have, so no cluster may be called so.
const RESERVED: [&str; 11] =
    ["start", "stop", "status", "delete", "config", "open", "profile", "addons", "cache", "logs", "default"];

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Wrong characters or length.
    #[error(
        "`{0}` is not a valid name: use 2 to 40 lower-case letters, digits and dashes, beginning and ending with a letter or digit"
    )]
    Shape(String),
    /// A word with another meaning.
    #[error("`{0}` is a reserved word and cannot be the name of a cluster")]
    Reserved(String),
}

/// True for a DNS label (RFC 1123) of 2 to `longest` characters.
fn is_label(text: &str, longest: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=longest).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Name of a cluster: also of its profile, its network, its kubeconfig context and its first node.
///
/// A DNS label, because Kubernetes node names and container hostnames are; 40 characters at most,
/// so that `-m02` and the like still fit the 63 of a hostname.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

impl ClusterName {
    /// The name used when none is given.
    pub const DEFAULT: &'static str = "skiff";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the cluster's node number `index`, counted from 0: `skiff`, `skiff-m02`, `skiff-m03` …
    #[must_use]
    pub fn node(&self, index: u32) -> NodeName {
        if index == 0 { NodeName(self.0.clone()) } else { NodeName(format!("{}-m{:02}", self.0, index + 1)) }
    }

    /// Name of the machine that holds the cluster's one way to its API servers, where there are several.
    #[must_use]
    pub fn entrance(&self) -> NodeName {
        NodeName(format!("{}-entrance", self.0))
    }

    /// True if a user's word means this node of the cluster: its name, or the short form `m02`.
    #[must_use]
    pub fn calls(&self, node: &str, word: &str) -> bool {
        node == word || node.strip_prefix(self.as_str()).and_then(|rest| rest.strip_prefix('-')) == Some(word)
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for ClusterName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if RESERVED.contains(&text) {
            Err(InvalidName::Reserved(text.to_owned()))
        } else if is_label(text, 40) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::Shape(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ClusterName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a node: of its machine, its hostname and its Kubernetes node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 63) { Ok(Self(text.to_owned())) } else { Err(InvalidName::Shape(text.to_owned())) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_dns_labels() {
        for good in ["skiff", "a1", "my-cluster-2", &"x".repeat(40)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in ["", "a", "-a", "a-", "A1", "a_b", "a.b", "ä1", "a/b", "..", &"x".repeat(41)] {
            assert!(matches!(bad.parse::<ClusterName>(), Err(InvalidName::Shape(_))), "{bad}");
        }
        assert!(matches!("delete".parse::<ClusterName>(), Err(InvalidName::Reserved(_))));
    }

    #[test]
    fn node_names_count_from_the_cluster_name() {
        let cluster: ClusterName = "dev".parse().unwrap();
        assert_eq!(cluster.node(0).as_str(), "dev");
        assert_eq!(cluster.node(1).as_str(), "dev-m02");
        assert_eq!(cluster.node(11).as_str(), "dev-m12");
        assert!(cluster.calls("dev-m02", "m02") && cluster.calls("dev-m02", "dev-m02") && cluster.calls("dev", "dev"));
        assert!(!cluster.calls("dev-m02", "m03") && !cluster.calls("dev-m02", "") && !cluster.calls("dev", "m01"));
    }
}
