//! An upgrade under way, as stored: whoever comes after a skiff that was killed knows where it was.

use serde::{Deserialize, Serialize};

use crate::{FileError, KubeVersion, NodeName, SpecFile};

/// One upgrade by at most one minor: written before anything is changed, gone when it is finished
/// or undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpgradeRecord {
    /// What all nodes had.
    pub from: KubeVersion,
    /// What they are to have.
    pub to: KubeVersion,
    /// How far it is.
    pub stage: UpgradeStage,
    /// What was asked of the cluster before.
    pub before: SpecFile,
    /// What is asked of it now, with the version that is wanted at last.
    pub after: SpecFile,
    /// The nodes that are not what they were, in the order in which they were touched.
    #[serde(default)]
    pub nodes: Vec<UpgradedNode>,
}

/// Which way an upgrade goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeStage {
    /// Forward.
    Going,
    /// Forward, after it was cut off: what may have been written meanwhile is not known.
    GoingAgain,
    /// Back, with what was written since.
    Undoing,
    /// Back, and so is the cluster's state: nobody has written anything since, or the older etcd could
    /// not read it.
    Restoring,
}

impl UpgradeStage {
    /// True if it goes back.
    #[must_use]
    pub fn is_undo(self) -> bool {
        matches!(self, Self::Undoing | Self::Restoring)
    }
}

/// A node that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpgradedNode {
    /// Its name.
    pub name: NodeName,
    /// Key of the node image it was made from.
    pub image: String,
    /// The image of skiff-agent in that.
    #[serde(default)]
    pub agent: String,
    /// True if it works at the new version.
    #[serde(default)]
    pub done: bool,
}

impl UpgradeRecord {
    /// Reads a file's text.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn from_yaml(text: &str) -> Result<Self, FileError> {
        Ok(serde_yaml::from_str(text)?)
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for values made by skiff; kept as an error so that nothing is ever lost silently.
    pub fn to_yaml(&self) -> Result<String, FileError> {
        Ok(serde_yaml::to_string(self)?)
    }

    /// What there is to know of a node, if it is not what it was.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&UpgradedNode> {
        self.nodes.iter().find(|node| node.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = UpgradeRecord {
            from: KubeVersion::new(1, 20, 2),
            to: KubeVersion::new(1, 21, 14),
            stage: UpgradeStage::GoingAgain,
            before: SpecFile { memory: Some("2g".into()), ..SpecFile::default() },
            after: SpecFile { kubernetes_version: Some("v1.22.17".into()), ..SpecFile::default() },
            nodes: vec![UpgradedNode {
                name: "dev".parse().unwrap(),
                image: "a1".into(),
                agent: "agent:1".into(),
                done: true,
            }],
        };
        assert_eq!(UpgradeRecord::from_yaml(&record.to_yaml().unwrap()).unwrap(), record);
        assert!(UpgradeRecord::from_yaml("from: v1.20.2\nsurprise: 1\n").is_err());
    }
}
