//! The end of the role for good: nobody is to be told an address any more where nobody serves.
//!
//! A pod that is only replaced, or whose machine stops, leaves everything as it is.

use std::{borrow::Cow, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, api::ObjectMeta};
use serde::Deserialize;

use super::{gateway, metrics::IngressMetrics, objects::Id, reload::Outcome, report, state::State};
use crate::api::{chain, objects::view_of};

/// What makes this role's pods.
const OWNER: &str = "skiff-ingress";
/// A server that takes longer is on its way out itself.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long all of it may take: the pod's time is up soon after.
const PATIENCE: Duration = Duration::from_secs(25);
/// How many ingresses are written at a time.
const AT_A_TIME: usize = 32;

/// A DaemonSet, of which only matters whether it stays.
#[derive(Clone, Debug, Default, Deserialize)]
struct DaemonSet {
    metadata: ObjectMeta,
}

view_of!(DaemonSet, NamespaceResourceScope, "apps" / "v1" "DaemonSet" "daemonsets");

/// Takes back what was told about where ingresses and gateways are reached, if the role is being removed.
pub(super) async fn take_back(
    client: &Client,
    namespace: &str,
    state: &State,
    outcome: &Outcome,
    metrics: &IngressMetrics,
) {
    if !is_removed(client, namespace).await {
        return;
    }
    let all = async {
        let ingresses = outcome.served.iter().filter(|(_, told)| !told.is_empty()).map(|(id, _)| id);
        stream::iter(ingresses).for_each_concurrent(AT_A_TIME, |id| forget(client, id)).await;
        let changes = state.read(gateway::status::nobody);
        gateway::status::write(client, &changes, metrics).await;
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        tracing::warn!("some addresses stay in the status of ingresses: there was no time to take all back");
    }
}

/// Whether what makes these pods is gone or going.
async fn is_removed(client: &Client, namespace: &str) -> bool {
    let owners = Api::<DaemonSet>::namespaced(client.clone(), namespace);
    match tokio::time::timeout(ANSWER_TIME, owners.get(OWNER)).await {
        Ok(Ok(owner)) => owner.metadata.deletion_timestamp.is_some(),
        Ok(Err(kube::Error::Api(status))) => status.code == 404,
        _ => false,
    }
}

async fn forget(client: &Client, id: &Id) {
    match report::write(client, id, &[]).await {
        Ok(()) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => tracing::warn!(ingress = %id, error = %chain(&error), "cannot take the address back"),
    }
}
