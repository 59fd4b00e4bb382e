//! The Kubernetes API as addons need it: a trait, so that tests need no cluster.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use skiff_kubeapi::{Claim, Client, Condition, Held, KubeError, Manifest, ObjectRef};

/// Objects of one cluster.
pub trait Objects: Send + Sync {
    /// Applies objects, in the order in which they need each other. Returns those that were left as
    /// they are because of others' fields.
    ///
    /// # Errors
    /// The first object that is refused, or the last trouble when `patience` is over.
    fn apply_objects(
        &self,
        objects: &[Manifest],
        claim: Claim,
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<Held>, KubeError>> + Send;

    /// Every refusal that [`apply_objects`](Self::apply_objects) would meet, as far as it can be told.
    ///
    /// # Errors
    /// When the API server does not answer.
    fn rehearse(
        &self,
        objects: &[Manifest],
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<KubeError>, KubeError>> + Send;

    /// Deletes objects with all that they made, and waits until they are gone. Those that are absent
    /// are no error.
    ///
    /// # Errors
    /// The first object that cannot be deleted, or that is still there when `patience` is over.
    fn delete_objects(
        &self,
        objects: &[ObjectRef],
        patience: Duration,
    ) -> impl Future<Output = Result<(), KubeError>> + Send;

    /// Has workloads make their pods anew. Other objects do not mind.
    ///
    /// # Errors
    /// The first workload that is refused.
    fn restart_workloads(
        &self,
        objects: &[ObjectRef],
        patience: Duration,
    ) -> impl Future<Output = Result<(), KubeError>> + Send;

    /// Objects as they are now, in the order asked for.
    ///
    /// # Errors
    /// When the API server does not answer within `patience`.
    fn find_objects(
        &self,
        objects: &[ObjectRef],
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<Option<Value>>, KubeError>> + Send;

    /// The ConfigMaps of a namespace that have a label.
    ///
    /// # Errors
    /// When the API server does not answer within `patience`.
    fn config_maps(
        &self,
        namespace: &str,
        label: &str,
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<Value>, KubeError>> + Send;

    /// Waits for a condition, but not when it is clear that it will not come about. What the cluster
    /// wrote before `since` does not count.
    ///
    /// # Errors
    /// What stood in the way.
    fn prove(
        &self,
        condition: &Condition,
        since: Option<SystemTime>,
        patience: Duration,
    ) -> impl Future<Output = Result<(), KubeError>> + Send;
}

impl Objects for Client {
    async fn apply_objects(
        &self,
        objects: &[Manifest],
        claim: Claim,
        patience: Duration,
    ) -> Result<Vec<Held>, KubeError> {
        Self::apply_objects(self, objects, claim, patience).await
    }

    async fn rehearse(&self, objects: &[Manifest], patience: Duration) -> Result<Vec<KubeError>, KubeError> {
        Self::rehearse(self, objects, patience).await
    }

    async fn delete_objects(&self, objects: &[ObjectRef], patience: Duration) -> Result<(), KubeError> {
        Self::delete_objects(self, objects, patience).await
    }

    async fn restart_workloads(&self, objects: &[ObjectRef], patience: Duration) -> Result<(), KubeError> {
        Self::restart_workloads(self, objects, patience).await
    }

    async fn find_objects(&self, objects: &[ObjectRef], patience: Duration) -> Result<Vec<Option<Value>>, KubeError> {
        Self::find_objects(self, objects, patience).await
    }

    async fn config_maps(&self, namespace: &str, label: &str, patience: Duration) -> Result<Vec<Value>, KubeError> {
        Self::config_maps(self, namespace, label, patience).await
    }

    async fn prove(
        &self,
        condition: &Condition,
        since: Option<SystemTime>,
        patience: Duration,
    ) -> Result<(), KubeError> {
        Self::prove(self, condition, since, patience).await
    }
}
