//! What this folder asks of the Kubernetes API: a trait, so that tests need no cluster.

use std::net::SocketAddr;

use skiff_kubeapi::{Backend, Client, KubeError, PodConnection, ServiceInfo};
use skiff_report::Diagnose;

use super::Protocol;

/// The pods of cluster DNS: each cluster has them, and they have skiff's own agent and the node's network.
const RELAY_POD: &str = "k8s-app=kube-dns";

/// The services of a cluster.
pub trait ServiceApi: Clone + Send + Sync + 'static {
    /// What can go wrong.
    type Trouble: Diagnose;

    /// The services of a namespace, or of all, in order.
    ///
    /// # Errors
    /// When the API server does not answer in seconds.
    fn services(&self, namespace: Option<&str>)
    -> impl Future<Output = Result<Vec<ServiceInfo>, Self::Trouble>> + Send;

    /// Tells all services at once and after every change, and each trouble; returns when `tell` says false.
    fn watch_services(
        &self,
        tell: impl FnMut(Result<Vec<ServiceInfo>, Self::Trouble>) -> bool + Send,
    ) -> impl Future<Output = ()> + Send;

    /// The pods behind a service, ready ones first; none for a service that is not there.
    ///
    /// # Errors
    /// When the API server does not answer in seconds.
    fn backends(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Future<Output = Result<Vec<Backend>, Self::Trouble>> + Send;

    /// Connects to a TCP port of a pod.
    ///
    /// # Errors
    /// When there is no such pod, or the way to it does not open.
    fn connect(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> impl Future<Output = Result<PodConnection, Self::Trouble>> + Send;

    /// Connects to an address of the cluster's network, by a program in a pod that passes everything on.
    ///
    /// # Errors
    /// When there is no such pod, or the way to it does not open.
    fn relay(
        &self,
        protocol: Protocol,
        to: SocketAddr,
    ) -> impl Future<Output = Result<PodConnection, Self::Trouble>> + Send;

    /// Writes the one address of a service's load balancer, or takes it out. Nothing happens if the service
    /// is gone.
    ///
    /// # Errors
    /// When the API server does not answer in seconds, or refuses.
    fn set_address(
        &self,
        namespace: &str,
        service: &str,
        address: Option<&str>,
    ) -> impl Future<Output = Result<(), Self::Trouble>> + Send;
}

impl ServiceApi for Client {
    type Trouble = KubeError;

    async fn services(&self, namespace: Option<&str>) -> Result<Vec<ServiceInfo>, KubeError> {
        Self::services(self, namespace).await
    }

    async fn watch_services(&self, tell: impl FnMut(Result<Vec<ServiceInfo>, KubeError>) -> bool + Send) {
        Self::watch_services(self, tell).await;
    }

    async fn backends(&self, namespace: &str, service: &str) -> Result<Vec<Backend>, KubeError> {
        Self::backends(self, namespace, service).await
    }

    async fn connect(&self, namespace: &str, pod: &str, port: u16) -> Result<PodConnection, KubeError> {
        self.connect_to_pod(namespace, pod, port).await
    }

    async fn relay(&self, protocol: Protocol, to: SocketAddr) -> Result<PodConnection, KubeError> {
        let argv = ["/skiff-agent", "relay", &protocol.to_string().to_lowercase(), &to.to_string()];
        self.talk_to_pod("kube-system", RELAY_POD, &argv).await
    }

    async fn set_address(&self, namespace: &str, service: &str, address: Option<&str>) -> Result<(), KubeError> {
        self.set_service_address(namespace, service, address).await
    }
}
