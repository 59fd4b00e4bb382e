//! Whether conditions are met, from the objects alone.

use std::time::SystemTime;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{ContainerStatus, Node, Pod, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, Time},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};

use crate::{follow::Objects, node::ready_condition};

/// Evidence older than this does not count. After a restart, the API server tells what was true
/// before the stop until kubelets and controllers have caught up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since(Option<SystemTime>);

impl Since {
    pub(crate) const EVER: Self = Self(None);

    pub(crate) fn new(start: SystemTime) -> Self {
        Self(Some(start))
    }

    /// True if all evidence counts.
    pub(crate) fn is_ever(self) -> bool {
        self.0.is_none()
    }

    /// True if something of that time counts. Times in objects are cut to whole seconds.
    fn accepts(self, time: Option<&Time>) -> bool {
        let Some(start) = self.0 else { return true };
        let seconds = start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        time.is_some_and(|time| u64::try_from(time.0.as_second()).is_ok_and(|at| at >= seconds))
    }
}

/// The node's kubelet says that it is ready.
pub(crate) fn node_is_ready(node: &Node, since: Since) -> bool {
    ready_condition(node)
        .is_some_and(|condition| condition.status == "True" && since.accepts(condition.last_heartbeat_time.as_ref()))
}

/// Pods can use the account. Before bound tokens (1.21) they need its secret as well, which comes later.
pub(crate) fn account_is_usable(account: &ServiceAccount, needs_secret: bool) -> bool {
    !needs_secret || account.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
}

/// The pod says that it is ready, or it has done its work.
pub(crate) fn pod_is_ready(pod: &Pod) -> bool {
    pod_is_settled(pod, Since::EVER)
}

/// Likewise, with all of its containers started lately enough.
pub(crate) fn pod_is_settled(pod: &Pod, since: Since) -> bool {
    let Some(status) = &pod.status else { return false };
    if status.phase.as_deref() == Some("Succeeded") {
        return true;
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let started = |container: &ContainerStatus| {
        let running = container.state.as_ref().and_then(|state| state.running.as_ref());
        since.is_ever() || running.is_some_and(|running| since.accepts(running.started_at.as_ref()))
    };
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && status.container_statuses.iter().flatten().all(started)
}

/// There are pods, and all that are to stay are ready.
pub(crate) fn pods_are_ready(pods: &Objects<Pod>, since: Since) -> bool {
    let mut staying = pods.values().filter(|pod| pod.metadata.deletion_timestamp.is_none()).peekable();
    staying.peek().is_some() && staying.all(|pod| pod_is_settled(pod, since))
}

/// The controller has seen the newest template, and all wanted pods of it are available.
pub(crate) fn deployment_is_available(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && status.updated_replicas.unwrap_or(0) >= wanted
            && status.available_replicas.unwrap_or(0) >= wanted
    })
}

/// The controller has seen the newest template, and a ready pod of it is on every node it should be on.
pub(crate) fn daemon_set_is_ready(set: &DaemonSet) -> bool {
    set.status.as_ref().is_some_and(|status| {
        let wanted = status.desired_number_scheduled;
        wanted > 0
            && status.observed_generation >= set.metadata.generation
            && status.number_ready >= wanted
            && status.updated_number_scheduled.unwrap_or(0) >= wanted
    })
}

/// The controller has seen the newest template, and all wanted pods of it are ready.
pub(crate) fn stateful_set_is_ready(set: &StatefulSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation >= set.metadata.generation
            && status.ready_replicas.unwrap_or(0) >= wanted
            && status.update_revision == status.current_revision
    })
}

/// The API server reaches whoever serves the API; else what keeps it from that.
pub(crate) fn api_is_available(api: &APIService) -> Result<(), String> {
    let conditions = api.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition.type_ == "Available");
    says(condition.map(|it| (it.status.as_str(), it.message.as_deref())))
}

/// Objects of the kind can be made; else what keeps it from that.
pub(crate) fn kind_is_served(kind: &CustomResourceDefinition) -> Result<(), String> {
    let conditions = kind.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition.type_ == "Established");
    says(condition.map(|it| (it.status.as_str(), it.message.as_deref())))
}

fn says(condition: Option<(&str, Option<&str>)>) -> Result<(), String> {
    match condition {
        Some(("True", _)) => Ok(()),
        Some((_, Some(message))) => Err(message.to_owned()),
        _ => Err("it does not say how it is".to_owned()),
    }
}

/// A selector in the form the API takes in a query.
pub(crate) fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|wanted| {
        let key = &wanted.key;
        let values = || wanted.values.as_deref().unwrap_or_default().join(",");
        match wanted.operator.as_str() {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}
