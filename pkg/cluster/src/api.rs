//! The Kubernetes API as use cases need it: a trait, so that tests need no cluster.

use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use skiff_addons::Objects;
use skiff_kubeapi::{Access, Condition};
use skiff_report::Diagnose;

/// Makes clients.
pub trait ConnectApi: Send + Sync {
    /// What it makes.
    type Api: Api;

    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    fn client(&self, access: &Access) -> Result<Self::Api, <Self::Api as Api>::Error>;
}

/// One cluster's API.
pub trait Api: Objects {
    /// What can go wrong.
    type Error: Diagnose;

    /// Waits until the API server answers at all, which it does before it is ready. False if it did not
    /// while `patience` lasted.
    fn serving(&self, patience: Duration) -> impl Future<Output = bool> + Send;

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// The last answer when `patience` is over.
    fn ready(&self, patience: Duration) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Asks once whether the API server answers, and whether the node is Ready.
    ///
    /// # Errors
    /// When the API server does not answer within `patience`.
    fn node_ready(&self, node: &str, patience: Duration) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Applies manifests on the server's side. May be called again with the same or other content.
    ///
    /// # Errors
    /// The first object that is refused, or the last trouble when `patience` is over.
    fn apply(&self, manifests: &str, patience: Duration) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Gives a node its pod addresses as soon as it is registered; nothing happens if it has them.
    ///
    /// # Errors
    /// When the node has others, or is not registered in time.
    fn assign_pod_cidr(
        &self,
        node: &str,
        cidrs: &[IpNet],
        patience: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Waits for a condition. What the cluster wrote before `since` does not count: after a restart
    /// the API still tells of a node that was Ready before the stop.
    ///
    /// # Errors
    /// What stood in the way when `patience` is over.
    fn wait(
        &self,
        condition: &Condition,
        since: Option<SystemTime>,
        patience: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs a command in the first running pod of `kube-system` that has the label.
    /// Returns its exit status and what it printed.
    ///
    /// # Errors
    /// When there is no such pod, or the API server cannot reach it, within `patience`.
    fn run_in_pod(
        &self,
        selector: &str,
        argv: &[&str],
        patience: Duration,
    ) -> impl Future<Output = Result<(i32, String), Self::Error>> + Send;
}
