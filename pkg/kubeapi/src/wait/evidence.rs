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
/// Lines of a log to fetch. Many end with empty ones.
const TAIL: usize = 8;
/// Lines of a log worth showing, and how much of each.
const SHOWN: usize = 3;
const WIDTH: usize = 160;

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
            evidence.logs.insert((wanted.pod, wanted.container), ending(&log.unwrap_or_default()));
        }
        of_pods(&evidence, owner)
    }
}

/// The last lines that say something.
fn ending(log: &str) -> Vec<String> {
    let lines: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    last.iter().map(|line| line.chars().take(WIDTH).collect()).collect()
}

fn log_path(namespace: &str, wanted: &LogWanted) -> String {
    let LogWanted { pod, container, previous } = wanted;
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&previous={previous}&tailLines={TAIL}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_that_say_something_are_kept_short() {
        let long = "x".repeat(500);
        let log = format!("one\ntwo\n\n  three  \n{long}\n\n \n");
        let kept = ending(&log);
        assert_eq!(kept[..2], ["two", "three"]);
        assert_eq!(kept[2].len(), WIDTH);
        assert!(ending("").is_empty());
    }
}
