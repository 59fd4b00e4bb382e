//! kubeconfig files, with certificates embedded.

mod node;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

pub use node::NodeKubeconfigs;

use crate::{BootstrapError, pki::Pair, render::to_yaml};

/// A kubeconfig with one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// URL of the API server.
    pub server: &'a str,
    /// Its certificate authority, PEM.
    pub ca: &'a str,
    /// Name of the user.
    pub user: &'a str,
    /// The user's certificate and key.
    pub client: &'a Pair,
}

impl Kubeconfig<'_> {
    /// As YAML.
    ///
    /// # Errors
    /// [`BootstrapError::Yaml`].
    pub fn to_yaml(&self) -> Result<String, BootstrapError> {
        let context = format!("{}@{}", self.user, self.cluster);
        to_yaml(&[json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": self.cluster,
                "cluster": { "certificate-authority-data": STANDARD.encode(self.ca), "server": self.server },
            }],
            "users": [{
                "name": self.user,
                "user": {
                    "client-certificate-data": STANDARD.encode(&self.client.certificate),
                    "client-key-data": STANDARD.encode(&self.client.key),
                },
            }],
            "contexts": [{ "name": context, "context": { "cluster": self.cluster, "user": self.user } }],
            "current-context": context,
            "preferences": {},
        })])
    }
}
