//! Tells others: addresses into the status of ingresses, problems into events and into the log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    compile::CONTROLLER,
    gateway,
    metrics::IngressMetrics,
    objects::{Id, Ingress, LoadBalancerAddress},
    place::Place,
    problem::Problem,
    reload::Outcome,
    state::State,
};
use crate::api::{Backoff, chain};

/// How long a problem must last: what is applied together is not there at the same moment.
const LASTS: Duration = Duration::from_secs(2);
/// How long the same status is not written again.
const SAME_AGAIN: Duration = Duration::from_secs(10);
/// How often problems that do not last yet are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Writes where ingresses are reached. Never returns.
pub(super) async fn status(
    client: Client,
    state: &State,
    mut outcome: watch::Receiver<Arc<Outcome>>,
    mut place: watch::Receiver<Place>,
    metrics: &IngressMetrics,
) {
    let mut backoff = Backoff::default();
    let mut last = (Vec::new(), Instant::now());
    loop {
        let (served, here) = (Arc::clone(&outcome.borrow_and_update()), place.borrow_and_update().clone());
        let mut failed = false;
        if let Some(addresses) = here.addresses.as_ref().filter(|_| here.speaks) {
            let wanted: Vec<LoadBalancerAddress> =
                addresses.iter().map(|ip| LoadBalancerAddress { ip: Some(ip.to_string()), hostname: None }).collect();
            for (id, told) in served.served.iter().filter(|(_, told)| *told != wanted) {
                if let Err(error) = write(&client, id, addresses).await {
                    // Who is deleted meanwhile needs no status.
                    let gone = matches!(&error, kube::Error::Api(status) if status.code == 404);
                    failed |= !gone;
                    metrics.status_errors.add();
                    tracing::warn!(ingress = %id, error = %chain(&error), ?told, "cannot write the status");
                }
            }
        }
        if let Some(addresses) = here.addresses.as_ref().filter(|_| here.speaks) {
            let changes = state.read(|objects| gateway::status::changes(objects, &served.gateway, addresses));
            // A server that keeps something else than what it was given must not be written to for ever.
            if changes != last.0 || last.1.elapsed() > SAME_AGAIN {
                failed |= !gateway::status::write(&client, &changes, metrics).await;
                last = (if failed { Vec::new() } else { changes }, Instant::now());
            }
        }
        let pause = if failed { backoff.next() } else { None };
        if !failed {
            backoff = Backoff::default();
        }
        let retry = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = outcome.changed() => {}
            _ = place.changed() => {}
            () = retry => {}
        }
    }
}

/// Writes where an ingress is reached; without an address, that it is not.
pub(super) async fn write(client: &Client, id: &Id, addresses: &[std::net::IpAddr]) -> Result<(), kube::Error> {
    let ingresses = Api::<Ingress>::namespaced(client.clone(), &id.namespace);
    let list: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
    let list = Some(list).filter(|list| !list.is_empty());
    let patch = json!({"status": {"loadBalancer": {"ingress": list}}});
    ingresses.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
}

/// Tells problems that last. Never returns.
pub(super) async fn problems(
    client: Client,
    instance: Option<String>,
    mut outcome: watch::Receiver<Arc<Outcome>>,
    place: watch::Receiver<Place>,
) {
    let recorder = Recorder::new(client, Reporter { controller: CONTROLLER.to_owned(), instance });
    let mut since: HashMap<Problem, Instant> = HashMap::new();
    let mut told: HashSet<Problem> = HashSet::new();
    loop {
        let now = Arc::clone(&outcome.borrow_and_update());
        let current: HashSet<&Problem> = now.problems.iter().collect();
        since.retain(|problem, _| current.contains(problem));
        told.retain(|problem| current.contains(problem));
        for problem in current {
            if !told.contains(problem) && since.entry(problem.clone()).or_insert_with(Instant::now).elapsed() >= LASTS {
                tracing::warn!("{problem}");
                told.insert(problem.clone());
                since.remove(problem);
                if place.borrow().speaks {
                    publish(&recorder, problem).await;
                }
            }
        }
        // Without something to wait for there is nothing to wake up for.
        if since.keys().all(|problem| told.contains(problem)) {
            let _ = outcome.changed().await;
        } else {
            let _ = tokio::time::timeout(LOOK_AGAIN, outcome.changed()).await;
        }
    }
}

async fn publish(recorder: &Recorder, problem: &Problem) {
    let event = Event {
        type_: EventType::Warning,
        reason: problem.reason.to_owned(),
        note: Some(problem.message.chars().take(1000).collect()),
        action: "Sync".to_owned(),
        secondary: None,
    };
    let subject = &problem.subject;
    let about = ObjectReference {
        api_version: Some(subject.api_version.clone()),
        kind: Some(subject.kind.clone()),
        name: Some(subject.id.name.clone()),
        namespace: Some(subject.id.namespace.clone()),
        uid: Some(subject.uid.clone()),
        ..ObjectReference::default()
    };
    if let Err(error) = recorder.publish(&event, &about).await {
        tracing::warn!(error = %chain(&error), "cannot write an event");
    }
}
