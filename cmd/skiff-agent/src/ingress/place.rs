//! Where this ingress is reached, and which of its pods speaks for all of them.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    api::ObjectMeta,
    runtime::{WatchStreamExt, watcher},
};
use serde::Deserialize;
use tokio::sync::watch;

use crate::api::{Backoff, chain, objects::view_of};

/// The label of this role's pods.
const PODS: &str = "app.kubernetes.io/name=skiff-ingress";

/// A pod of this role.
#[derive(Clone, Debug, Default, Deserialize)]
struct Pod {
    metadata: ObjectMeta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    conditions: Option<Vec<PodCondition>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

view_of!(Pod, NamespaceResourceScope, "" / "v1" "Pod" "pods");

/// What this pod knows about its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The addresses of the nodes that serve, in order. None while nothing is known.
    pub(super) addresses: Option<Vec<IpAddr>>,
    /// Whether this pod writes for all.
    pub(super) speaks: bool,
}

/// Follows the pods of this role. Never returns.
pub(super) async fn run(client: Client, namespace: &str, own: &str, place: &watch::Sender<Place>) {
    let config = watcher::Config::default().any_semantic().labels(PODS);
    let events = watcher(Api::<Pod>::namespaced(client, namespace), config).backoff(Backoff::default());
    let mut events = std::pin::pin!(events);
    let mut pods: BTreeMap<String, Option<IpAddr>> = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => pods.clear(),
            Ok(watcher::Event::InitApply(pod)) => drop(pods.insert(name(&pod), ready_at(&pod))),
            Ok(watcher::Event::Apply(pod)) => {
                pods.insert(name(&pod), ready_at(&pod));
                tell(&pods, own, place);
            }
            Ok(watcher::Event::Delete(pod)) => {
                pods.remove(&name(&pod));
                tell(&pods, own, place);
            }
            Ok(watcher::Event::InitDone) => tell(&pods, own, place),
            Err(error) => tracing::warn!(error = %chain(&error), "cannot follow the pods of this role"),
        }
    }
}

fn tell(pods: &BTreeMap<String, Option<IpAddr>>, own: &str, place: &watch::Sender<Place>) {
    let mut addresses: Vec<IpAddr> = pods.values().copied().flatten().collect();
    addresses.sort_unstable();
    addresses.dedup();
    // The first by name speaks: all pods agree on it without asking each other.
    let first = pods.iter().find(|(_, ready)| ready.is_some()).map(|(name, _)| name.as_str());
    let now = Place { speaks: first == Some(own), addresses: Some(addresses).filter(|all| !all.is_empty()) };
    place.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// The address of a pod's node, if the pod is ready and stays.
fn ready_at(pod: &Pod) -> Option<IpAddr> {
    let mut conditions = pod.status.conditions.iter().flatten();
    let ready = conditions.any(|condition| condition.kind == "Ready" && condition.status == "True");
    let stays = pod.metadata.deletion_timestamp.is_none();
    pod.status.host_ip.as_ref().filter(|_| ready && stays)?.parse().ok()
}
