//! The real Kubernetes API behind [`Api`].

use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use skiff_kubeapi::{Access, Client, Condition, KubeError};

use crate::{Api, ConnectApi};

/// Makes clients for real API servers.
#[derive(Debug, Default, Clone, Copy)]
pub struct KubeConnector;

impl ConnectApi for KubeConnector {
    type Api = Client;

    fn client(&self, access: &Access) -> Result<Client, KubeError> {
        Client::new(access)
    }
}

impl Api for Client {
    type Error = KubeError;

    async fn serving(&self, patience: Duration) -> bool {
        self.wait_serving(patience).await
    }

    async fn ready(&self, patience: Duration) -> Result<(), KubeError> {
        self.wait_ready(patience).await
    }

    async fn node_ready(&self, node: &str, patience: Duration) -> Result<bool, KubeError> {
        self.readyz(patience).await?;
        Ok(self.nodes().await?.iter().any(|info| info.name == node && info.ready))
    }

    async fn apply(&self, manifests: &str, patience: Duration) -> Result<(), KubeError> {
        Self::apply(self, manifests, patience).await
    }

    async fn assign_pod_cidr(&self, node: &str, cidrs: &[IpNet], patience: Duration) -> Result<(), KubeError> {
        Self::assign_pod_cidr(self, node, cidrs, patience).await
    }

    async fn wait(
        &self,
        condition: &Condition,
        since: Option<SystemTime>,
        patience: Duration,
    ) -> Result<(), KubeError> {
        match since {
            Some(start) => self.wait_since(condition, start, patience).await,
            None => Self::wait(self, condition, patience).await,
        }
    }

    async fn run_in_pod(&self, selector: &str, argv: &[&str], patience: Duration) -> Result<(i32, String), KubeError> {
        let output = Self::run_in_pod(self, "kube-system", selector, argv, patience).await?;
        Ok((output.status, format!("{}{}", output.stdout, output.stderr)))
    }
}
