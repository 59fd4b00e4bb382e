//! Kubernetes versions.

use std::{fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::versions;

/// Text that is not a Kubernetes version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a Kubernetes version: write it like v1.20.2, 1.20 or `stable`")]
pub struct InvalidVersion(pub String);

/// A Kubernetes version. Shown and stored as `v1.20.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KubeVersion(Version);

impl KubeVersion {
    /// A release version.
    #[must_use]
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(Version::new(major, minor, patch))
    }

    /// Wraps a version that is known to be one of Kubernetes.
    pub(crate) const fn from_version(version: Version) -> Self {
        Self(version)
    }

    /// The minor version: 20 of v1.20.2.
    #[must_use]
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The patch version: 2 of v1.20.2.
    #[must_use]
    pub fn patch(&self) -> u64 {
        self.0.patch
    }

    /// True if this is version 1.`minor` or newer; pre-releases of it count as older.
    #[must_use]
    pub fn at_least(&self, minor: u64) -> bool {
        self.0 >= Version::new(1, minor, 0)
    }
}

impl Default for KubeVersion {
    fn default() -> Self {
        versions::DEFAULT
    }
}

impl FromStr for KubeVersion {
    type Err = InvalidVersion;

    /// Takes `v1.20.2`, `1.20.2`, pre-releases such as `v1.37.0-rc.0`, `1.20` or `v1.20` (the newest
    /// patch release skiff knows) and `stable` or `latest` (skiff's default).
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        if matches!(text, "stable" | "latest") {
            return Ok(Self::default());
        }
        let bare = text.strip_prefix('v').unwrap_or(text);
        if let Some((major, minor)) = bare.split_once('.')
            && !minor.contains('.')
        {
            let (major, minor): (u64, u64) =
                (major.parse().map_err(|_| invalid())?, minor.parse().map_err(|_| invalid())?);
            return Ok(Self::new(major, minor, versions::newest_patch(minor)));
        }
        Version::parse(bare).map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for KubeVersion {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        text.parse()
    }
}

impl From<KubeVersion> for String {
    fn from(version: KubeVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_usual_form() {
        for text in ["v1.20.2", "1.20.2", "1.20", "v1.20", "stable", "latest"] {
            assert_eq!(text.parse::<KubeVersion>().unwrap().to_string(), "v1.20.2", "{text}");
        }
        assert_eq!("v1.37.0-rc.0".parse::<KubeVersion>().unwrap().to_string(), "v1.37.0-rc.0");
        for bad in ["", "v", "1", "one.two", "1.20.x", "v1.20.2.3", "latest greatest"] {
            assert!(bad.parse::<KubeVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pre_release_is_older_than_its_release() {
        let rc: KubeVersion = "v1.37.0-rc.0".parse().unwrap();
        assert!(rc.at_least(36) && !rc.at_least(37));
    }
}
