//! Collects what tells why a condition did not come about: pods, events, logs.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};

use crate::{
    Cause, Client,
    cause::{Evidence, LogWanted, logs_wanted, of_pods},
    deadline::Deadline,
    follow::Collection,
};

/// The search begins when patience is over already, so it must be short.
const SEARCH: Duration = Duration::from_secs(3);
/// Lines of a log worth showing.
const TAIL: usize = 5;

impl Client {
    /// Pods as they are now; none if the API server does not answer.
    pub(super) async fn look(&self, pods: &Collection) -> Vec<Pod> {
        Deadline::after(SEARCH).limit(SEARCH, self.list(pods)).await.unwrap_or_default()
    }

    /// The worst thing that pods of a namespace, its events and its logs tell.
    pub(super) async fn cause_among(&self, namespace: &str, pods: Vec<Pod>, owner: Option<&str>) -> Option<Cause> {
        let deadline = Deadline::after(SEARCH);
        let mut evidence = Evidence::of(pods);
        let events = Collection::all(format!("/api/v1/namespaces/{namespace}/events"));
        let events: Result<Vec<Event>, _> = deadline.limit(SEARCH, self.list(&events)).await;
        evidence.events = events.unwrap_or_default();
        for wanted in logs_wanted(&evidence.pods) {
            let log = deadline.limit(SEARCH, self.get_text(&log_path(namespace, &wanted))).await;
            let lines = log.unwrap_or_default().lines().map(str::to_owned).collect();
            evidence.logs.insert((wanted.pod, wanted.container), lines);
        }
        of_pods(&evidence, owner)
    }
}

fn log_path(namespace: &str, wanted: &LogWanted) -> String {
    let LogWanted { pod, container, previous } = wanted;
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&previous={previous}&tailLines={TAIL}")
}
