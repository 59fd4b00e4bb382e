//! Waits that end as soon as it is clear that they are in vain.

use std::{
    future::pending,
    mem::{Discriminant, discriminant},
    time::{Duration, SystemTime},
};

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use tokio::time::{Instant, sleep};

use super::{Condition, met::Since, pods_of};
use crate::{
    Cause, Client, KubeError,
    follow::{Collection, Object},
};

/// How often to look for what stands in the way.
const STEP: Duration = Duration::from_secs(1);
/// A container that ended so often will go on to.
const ENOUGH_RESTARTS: i32 = 2;

impl Client {
    /// Waits for a condition, but not when a cause is known that does not pass by itself: an image that
    /// cannot be pulled, a container that ends again and again, a pod that no node takes. What the
    /// cluster wrote before `since` does not count.
    ///
    /// # Errors
    /// What stood in the way.
    pub async fn prove(
        &self,
        condition: &Condition,
        since: Option<SystemTime>,
        patience: Duration,
    ) -> Result<(), KubeError> {
        let known = since.map_or(Since::EVER, Since::new);
        tokio::select! {
            met = self.wait_with(condition, known, patience) => met,
            cause = self.hopeless(condition, since.is_some()) => {
                Err(KubeError::Hopeless { what: condition.to_string(), cause: Box::new(cause) })
            }
        }
    }

    /// Ends when something has stood in the way for so long that it will go on to.
    async fn hopeless(&self, condition: &Condition, restarted: bool) -> Cause {
        let Some((namespace, name)) = workload(condition) else { return pending().await };
        let mut seen: Option<(Discriminant<Cause>, Instant)> = None;
        loop {
            sleep(STEP).await;
            let Some(pods) = self.pods_of_workload(condition, namespace, name).await else { continue };
            let restarts = restarts(&pods);
            let Some(cause) = self.cause_among(namespace, pods, Some(name)).await else {
                seen = None;
                continue;
            };
            let kind = discriminant(&cause);
            let first = match seen {
                Some((same, first)) if same == kind => first,
                _ => Instant::now(),
            };
            seen = Some((kind, first));
            // Containers of before a restart of the machine have ended too, and begin again.
            let patience = grace(&cause, restarts).filter(|_| !restarted || !matches!(cause, Cause::Crash { .. }));
            if patience.is_some_and(|patience| first.elapsed() >= patience) {
                return cause;
            }
        }
    }

    /// The pods of a workload; `None` if it does not exist, or the API server does not say.
    async fn pods_of_workload(&self, condition: &Condition, namespace: &str, name: &str) -> Option<Vec<Pod>> {
        let selector = match condition {
            Condition::Deployment { .. } => {
                let selector = |it: Deployment| it.spec.map(|spec| spec.selector);
                self.selector("deployments", namespace, name, selector).await
            }
            Condition::DaemonSet { .. } => {
                let selector = |it: DaemonSet| it.spec.map(|spec| spec.selector);
                self.selector("daemonsets", namespace, name, selector).await
            }
            Condition::StatefulSet { .. } => {
                let selector = |it: StatefulSet| it.spec.map(|spec| spec.selector);
                self.selector("statefulsets", namespace, name, selector).await
            }
            _ => None,
        };
        Some(self.look(&pods_of(namespace, &selector?)).await)
    }

    async fn selector<K: Object>(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        selector: fn(K) -> Option<LabelSelector>,
    ) -> Option<LabelSelector> {
        let named = Collection::named(format!("/apis/apps/v1/namespaces/{namespace}/{plural}"), name);
        self.list::<K>(&named).await.ok()?.into_iter().next().and_then(selector)
    }
}

fn workload(condition: &Condition) -> Option<(&str, &str)> {
    match condition {
        Condition::Deployment { namespace, name }
        | Condition::DaemonSet { namespace, name }
        | Condition::StatefulSet { namespace, name } => Some((namespace, name)),
        _ => None,
    }
}

/// How often the container that restarts most did so.
fn restarts(pods: &[Pod]) -> i32 {
    let of_pod = |pod: &Pod| pod.status.as_ref().and_then(|status| status.container_statuses.clone());
    pods.iter().filter_map(of_pod).flatten().map(|status| status.restart_count).max().unwrap_or(0)
}

/// How long a cause has to last until it is there to stay; `None` for those that may always pass.
fn grace(cause: &Cause, restarts: i32) -> Option<Duration> {
    match cause {
        Cause::Image { .. } => Some(Duration::from_secs(2)),
        Cause::Crash { .. } => (restarts >= ENOUGH_RESTARTS).then_some(Duration::ZERO),
        Cause::Container { .. } => Some(Duration::from_secs(5)),
        Cause::Webhook { .. } | Cause::NotCreated { .. } => Some(Duration::from_secs(10)),
        // A pod that makes room has half a minute to do so.
        Cause::Unschedulable { message, .. } if message.contains("ports") => Some(Duration::from_secs(45)),
        Cause::Unschedulable { .. } => Some(Duration::from_secs(15)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_pass_by_itself_ends_a_wait() {
        let (pod, message) = ("kube-system/x".to_owned(), "m".to_owned());
        let image = Cause::Image { pod: pod.clone(), image: "i".to_owned(), message: message.clone() };
        assert!(grace(&image, 0).is_some());
        let crash = |restarts| {
            let crash = Cause::Crash {
                pod: "kube-system/x".to_owned(),
                container: "c".to_owned(),
                ending: String::new(),
                log: Vec::new(),
            };
            grace(&crash, restarts)
        };
        assert_eq!((crash(1), crash(2)), (None, Some(Duration::ZERO)));
        assert_eq!(grace(&Cause::Setup { pod: pod.clone(), message: message.clone() }, 9), None);
        assert_eq!(grace(&Cause::Unready { pod: pod.clone(), message: message.clone() }, 9), None);
        let ports = Cause::Unschedulable { pod: pod.clone(), message: "no free ports".to_owned() };
        let memory = Cause::Unschedulable { pod, message };
        assert!(grace(&ports, 0) > grace(&memory, 0));
    }
}
