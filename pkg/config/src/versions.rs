//! Every pin: versions of Kubernetes and the tags of the images each minor asks for.
//!
//! The tags are what each minor's `kubeadm config images list` prints for its first patch release;
//! a build that is at hand is asked itself, this table serves planning and rendering.

use std::time::Duration;

use semver::Version;

use crate::KubeVersion;

/// The version a cluster gets when none is asked for: the newest that the `debian` artifact source
/// delivers, so that a start works on any host that reaches a Debian mirror.
pub const DEFAULT: KubeVersion = from_parts(1, 20, 2);

/// The oldest version skiff renders configuration for.
pub const OLDEST: KubeVersion = from_parts(1, 20, 0);

/// The newest minor skiff knows.
pub const NEWEST_MINOR: u64 = 37;

/// How long certificates of nodes and users are good for: three years, as minikube's.
pub const CERT_EXPIRATION: Duration = Duration::from_hours(26_280);

/// The registry of Kubernetes' own images. The older `k8s.gcr.io`, the default of kubeadm before
/// 1.25, is frozen.
pub const IMAGE_REPOSITORY: &str = "registry.k8s.io";

/// Tags of the images beside Kubernetes' own, per minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageTags {
    /// Kubernetes minor version.
    pub minor: u64,
    /// Tag of `coredns`.
    pub coredns: &'static str,
    /// Tag of `etcd`.
    pub etcd: &'static str,
    /// Tag of `pause`.
    pub pause: &'static str,
    /// Newest patch release known.
    pub patch: u64,
}

const fn tags(minor: u64, patch: u64, coredns: &'static str, etcd: &'static str, pause: &'static str) -> ImageTags {
    ImageTags { minor, coredns, etcd, pause, patch }
}

/// One row a minor, oldest first.
pub const IMAGE_TAGS: [ImageTags; 18] = [
    tags(20, 2, "1.7.0", "3.4.13-0", "3.2"),
    tags(21, 14, "v1.8.0", "3.4.13-0", "3.4.1"),
    tags(22, 17, "v1.8.4", "3.5.6-0", "3.5"),
    tags(23, 17, "v1.8.6", "3.5.6-0", "3.6"),
    tags(24, 17, "v1.8.6", "3.5.6-0", "3.7"),
    tags(25, 16, "v1.9.3", "3.5.9-0", "3.8"),
    tags(26, 15, "v1.9.3", "3.5.10-0", "3.9"),
    tags(27, 16, "v1.10.1", "3.5.12-0", "3.9"),
    tags(28, 15, "v1.10.1", "3.5.15-0", "3.9"),
    tags(29, 15, "v1.11.1", "3.5.16-0", "3.9"),
    tags(30, 14, "v1.11.3", "3.5.15-0", "3.9"),
    tags(31, 14, "v1.11.3", "3.5.24-0", "3.10"),
    tags(32, 13, "v1.11.3", "3.5.24-0", "3.10"),
    tags(33, 12, "v1.12.0", "3.5.24-0", "3.10"),
    tags(34, 11, "v1.12.1", "3.6.5-0", "3.10.1"),
    tags(35, 8, "v1.13.1", "3.6.6-0", "3.10.1"),
    tags(36, 4, "v1.14.2", "3.6.8-0", "3.10.2"),
    tags(37, 0, "v1.14.6", "3.7.0-0", "3.10.2"),
];

/// Manifests of pod networks that others make, by project. Cilium publishes none: its chart has to be
/// rendered.
pub const NETWORK_MANIFESTS: [(&str, &str); 2] = [
    ("flannel", "https://github.com/flannel-io/flannel/releases/download/v0.28.9/kube-flannel.yml"),
    ("calico", "https://raw.githubusercontent.com/projectcalico/calico/v3.32.1/manifests/calico.yaml"),
];

const fn from_parts(major: u64, minor: u64, patch: u64) -> KubeVersion {
    KubeVersion::from_version(Version::new(major, minor, patch))
}

/// The image tags of a version; those of the newest known minor for anything newer.
#[must_use]
pub fn image_tags(version: &KubeVersion) -> ImageTags {
    let newest = IMAGE_TAGS[IMAGE_TAGS.len() - 1];
    IMAGE_TAGS.into_iter().find(|row| row.minor == version.minor()).unwrap_or(newest)
}

/// The newest patch release known of a minor; 0 for a minor not in the table.
#[must_use]
pub fn newest_patch(minor: u64) -> u64 {
    IMAGE_TAGS.iter().find(|row| row.minor == minor).map_or(0, |row| row.patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_for_each_minor() {
        let minors: Vec<u64> = IMAGE_TAGS.iter().map(|row| row.minor).collect();
        assert_eq!(minors, (OLDEST.minor()..=NEWEST_MINOR).collect::<Vec<_>>());
    }
}
