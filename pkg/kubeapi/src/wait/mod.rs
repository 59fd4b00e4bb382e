//! Waits for conditions, by watch, and the search for the cause when one does not come about.

mod evidence;
mod met;
mod prove;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use k8s_openapi::{
    Metadata,
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{Node, Pod, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::LabelSelector,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};

use crate::{
    Cause, Client, KubeError,
    cause::of_node,
    deadline::Deadline,
    follow::{Collection, Object, Unmet},
    node::NODES,
};
use met::Since;
pub(crate) use met::{pod_is_ready, selector_text};

/// Where the cluster's own pods are.
const SYSTEM: &str = "kube-system";

/// Something of the cluster that can be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The node of that name is Ready.
    NodeReady(String),
    /// Pods of namespace `default` can use the service account `default`.
    DefaultServiceAccount,
    /// Every pod of `kube-system` is ready, and there is at least one.
    SystemPods,
    /// All replicas of a Deployment are available.
    Deployment {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A DaemonSet has a ready pod on every node it should, and there is such a node.
    DaemonSet {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Every pod with this label that is on a node is ready, and there is one. What a DaemonSet tells of itself
    /// knows of a new node only after a while.
    PodOn {
        /// Its namespace.
        namespace: String,
        /// The label, as `key=value`.
        label: String,
        /// The node.
        node: String,
    },
    /// All replicas of a StatefulSet are ready.
    StatefulSet {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The aggregated API of that name answers.
    ApiService(String),
    /// The kind that a CustomResourceDefinition of that name defines is served.
    Kind(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeReady(node) => write!(f, "readiness of node {node}"),
            Self::DefaultServiceAccount => f.write_str("the default service account"),
            Self::SystemPods => f.write_str("readiness of the pods in kube-system"),
            Self::Deployment { namespace, name } => write!(f, "availability of deployment {namespace}/{name}"),
            Self::DaemonSet { namespace, name } => write!(f, "readiness of daemon set {namespace}/{name}"),
            Self::PodOn { namespace, label, node } => {
                write!(f, "readiness of the pod with {label} in {namespace} on node {node}")
            }
            Self::StatefulSet { namespace, name } => write!(f, "readiness of stateful set {namespace}/{name}"),
            Self::ApiService(name) => write!(f, "availability of the API {name}"),
            Self::Kind(name) => write!(f, "the kind {name}"),
        }
    }
}

impl Client {
    /// Waits for a condition.
    ///
    /// # Errors
    /// What stood in the way when `patience` is over.
    pub async fn wait(&self, condition: &Condition, patience: Duration) -> Result<(), KubeError> {
        self.wait_with(condition, Since::EVER, patience).await
    }

    /// Waits for a condition, and does not believe what was written before `start`: the time when the
    /// cluster's machines were switched on. Until kubelets have caught up, the API tells what was
    /// true before they were switched off. Accounts do not age; `start` is of no meaning for them.
    ///
    /// # Errors
    /// What stood in the way when `patience` is over.
    pub async fn wait_since(
        &self,
        condition: &Condition,
        start: SystemTime,
        patience: Duration,
    ) -> Result<(), KubeError> {
        self.wait_with(condition, Since::new(start), patience).await
    }

    async fn wait_with(&self, condition: &Condition, since: Since, patience: Duration) -> Result<(), KubeError> {
        let deadline = Deadline::after(patience);
        let met = match condition {
            Condition::NodeReady(name) => self.node_ready(name, since, &deadline).await,
            Condition::DefaultServiceAccount => self.default_account(&deadline).await,
            Condition::SystemPods => {
                let pods = Collection::all(format!("/api/v1/namespaces/{SYSTEM}/pods"));
                self.pods_ready(SYSTEM, pods, since, None, &deadline).await
            }
            Condition::Deployment { namespace, name } => {
                let is_met = met::deployment_is_available;
                let selector = |object: &Deployment| object.spec.as_ref().map(|spec| spec.selector.clone());
                self.workload(Workload { kind: "Deployment", namespace, name, is_met, selector }, since, &deadline)
                    .await
            }
            Condition::DaemonSet { namespace, name } => {
                let is_met = met::daemon_set_is_ready;
                let selector = |object: &DaemonSet| object.spec.as_ref().map(|spec| spec.selector.clone());
                self.workload(Workload { kind: "DaemonSet", namespace, name, is_met, selector }, since, &deadline).await
            }
            Condition::PodOn { namespace, label, node } => {
                let pods = format!("/api/v1/namespaces/{namespace}/pods");
                let pods = Collection::labelled(pods, label).of_node(node);
                self.pods_ready(namespace, pods, since, None, &deadline).await
            }
            Condition::StatefulSet { namespace, name } => {
                let is_met = met::stateful_set_is_ready;
                let selector = |object: &StatefulSet| object.spec.as_ref().map(|spec| spec.selector.clone());
                self.workload(Workload { kind: "StatefulSet", namespace, name, is_met, selector }, since, &deadline)
                    .await
            }
            Condition::ApiService(name) => {
                let api = Collection::named("/apis/apiregistration.k8s.io/v1/apiservices", name);
                self.said::<APIService>(api, &format!("APIService {name}"), met::api_is_available, &deadline).await
            }
            Condition::Kind(name) => {
                let kind = Collection::named("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", name);
                let what = format!("CustomResourceDefinition {name}");
                self.said::<CustomResourceDefinition>(kind, &what, met::kind_is_served, &deadline).await
            }
        };
        met.map_err(|cause| KubeError::not_in_time(condition.to_string(), deadline.patience(), cause))
    }

    async fn node_ready(&self, name: &str, since: Since, deadline: &Deadline) -> Result<(), Option<Cause>> {
        let ready = self.follow::<Node, _>(Collection::named(NODES, name), deadline, |nodes| {
            nodes.get(name).filter(|node| met::node_is_ready(node, since)).map(drop)
        });
        ready.await.map_err(|unmet| match (unmet.objects.get(name), unmet.trouble) {
            (_, Some(trouble)) => Some(Cause::Api(trouble)),
            (Some(node), None) => Some(of_node(node)),
            (None, None) => Some(Cause::Absent { what: format!("node {name}") }),
        })
    }

    async fn default_account(&self, deadline: &Deadline) -> Result<(), Option<Cause>> {
        let needs_secret = self.server_version().await.is_ok_and(|version| has_token_secrets(&version));
        let accounts = Collection::named("/api/v1/namespaces/default/serviceaccounts", "default");
        let usable = self.follow::<ServiceAccount, _>(accounts, deadline, |accounts| {
            accounts.values().any(|account| met::account_is_usable(account, needs_secret)).then_some(())
        });
        usable.await.map_err(|unmet| {
            let what = if unmet.objects.is_empty() { "service account" } else { "the secret of service account" };
            Some(match unmet.trouble {
                Some(trouble) => Cause::Api(trouble),
                None => Cause::Absent { what: format!("{what} default/default") },
            })
        })
    }

    /// Waits until all pods of a collection are ready.
    async fn pods_ready(
        &self,
        namespace: &str,
        pods: Collection,
        since: Since,
        owner: Option<&str>,
        deadline: &Deadline,
    ) -> Result<(), Option<Cause>> {
        let ready = self.follow::<Pod, _>(pods, deadline, |pods| met::pods_are_ready(pods, since).then_some(())).await;
        match ready {
            Ok(()) => Ok(()),
            Err(Unmet { trouble: Some(trouble), .. }) => Err(Some(Cause::Api(trouble))),
            Err(unmet) => {
                let pods = unmet.objects.into_values().collect();
                Err(self.cause_among(namespace, pods, owner).await)
            }
        }
    }

    /// Waits for an object that tells in its own words what it lacks.
    async fn said<K: Object>(
        &self,
        object: Collection,
        what: &str,
        judge: fn(&K) -> Result<(), String>,
        deadline: &Deadline,
    ) -> Result<(), Option<Cause>> {
        let met =
            self.follow::<K, _>(object, deadline, |objects| objects.values().find(|it| judge(it).is_ok()).map(drop));
        met.await.map_err(|unmet| {
            Some(match (unmet.trouble, unmet.objects.values().next().map(judge)) {
                (Some(trouble), _) => Cause::Api(trouble),
                (None, Some(Err(message))) => Cause::Warning { object: what.to_owned(), message },
                (None, _) => Cause::Absent { what: what.to_owned() },
            })
        })
    }

    async fn workload<K: Object>(
        &self,
        workload: Workload<'_, K>,
        since: Since,
        deadline: &Deadline,
    ) -> Result<(), Option<Cause>> {
        let Workload { kind, namespace, name, is_met, selector } = workload;
        let path = format!("/apis/apps/v1/namespaces/{namespace}/{}s", kind.to_lowercase());
        let pods = |object: &K| selector(object).map(|selector| pods_of(namespace, &selector));
        let met = self.follow::<K, _>(Collection::named(path, name), deadline, |objects| {
            objects.values().find(|object| is_met(object)).map(pods)
        });
        match met.await {
            Ok(Some(pods)) if !since.is_ever() => self.pods_ready(namespace, pods, since, Some(name), deadline).await,
            Ok(_) => Ok(()),
            Err(Unmet { trouble: Some(trouble), .. }) => Err(Some(Cause::Api(trouble))),
            Err(unmet) => {
                let absent = Cause::Absent { what: format!("{kind} {namespace}/{name}") };
                let Some(object) = unmet.objects.values().next() else { return Err(Some(absent)) };
                let Some(pods) = pods(object) else { return Err(None) };
                let pods = self.look(&pods).await;
                Err(self.cause_among(namespace, pods, Some(name)).await)
            }
        }
    }
}

/// What differs between kinds of workloads.
struct Workload<'a, K: Metadata> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    is_met: fn(&K) -> bool,
    selector: fn(&K) -> Option<LabelSelector>,
}

fn pods_of(namespace: &str, selector: &LabelSelector) -> Collection {
    Collection::labelled(format!("/api/v1/namespaces/{namespace}/pods"), met::selector_text(selector))
}

/// True for versions whose pods mount the secret of their account.
fn has_token_secrets(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(1)), Some(Ok(minor))) if minor <= 20)
}
