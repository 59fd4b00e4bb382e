//! Versions of kubeadm's configuration API.

use serde_json::{Value, json};
use skiff_config::KubeVersion;

use super::flags::Flags;

/// A version of `kubeadm.k8s.io`, chosen so that each kubeadm reads its own without a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// Kubernetes 1.20 and 1.21.
    V1Beta2,
    /// Kubernetes 1.22 to 1.30.
    V1Beta3,
    /// Kubernetes 1.31 and newer; the only one from 1.36 on.
    V1Beta4,
}

impl ApiVersion {
    /// The version for a Kubernetes version.
    #[must_use]
    pub fn of(version: &KubeVersion) -> Self {
        // By minor, so that a pre-release gets what its release will read.
        match version.minor() {
            ..=21 => Self::V1Beta2,
            22..=30 => Self::V1Beta3,
            31.. => Self::V1Beta4,
        }
    }

    /// As in a document's `apiVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// Flags of a component: a map, from v1beta4 on a list.
    pub(super) fn extra_args(self, flags: &Flags) -> Value {
        if self < Self::V1Beta4 {
            flags
                .iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        } else {
            flags.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>().into()
        }
    }
}
