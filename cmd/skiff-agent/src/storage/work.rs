//! Feeds the provisioner: what the watches bring, and what is due for another try.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::Instant;

use super::{
    metrics::{Listed, StorageMetrics},
    plan::{NODE_LABEL, wanted_class},
    provision::{Outcome, Provisioner, Trouble},
    volume::node_label,
};
use crate::api::{Backoff, chain};

/// A try that takes longer counts as failed: a connection may have died without a word.
const TRY_TIME: Duration = Duration::from_secs(60);

/// Something to do.
enum Job {
    Provision(Box<PersistentVolumeClaim>),
    Delete(Box<PersistentVolume>),
}

/// All there is to do, by namespace and name of the object (volumes have no namespace).
#[derive(Default)]
struct Queue(HashMap<(String, String), Entry>);

struct Entry {
    job: Job,
    due: Instant,
    backoff: Backoff,
}

/// Watches claims and volumes and works on them, one after the other. Never returns.
pub(super) async fn run(client: Client, provisioner: Provisioner, metrics: Arc<StorageMetrics>) {
    let here = format!("{NODE_LABEL}={}", node_label(provisioner.node()));
    let claims = Api::<PersistentVolumeClaim>::all(client.clone());
    let volumes = Api::<PersistentVolume>::all(client);
    let mut claims =
        std::pin::pin!(watcher(claims, watcher::Config::default().any_semantic()).backoff(Backoff::default()));
    let mut volumes = std::pin::pin!(
        watcher(volumes, watcher::Config::default().any_semantic().labels(&here)).backoff(Backoff::default())
    );
    let mut queue = Queue::default();
    loop {
        let due = queue.next_due();
        let wake = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
        tokio::select! {
            Some(event) = claims.next() => {
                let listed = queue.take_in(event, |claim| {
                    wanted_class(&claim).is_some().then(|| Job::Provision(Box::new(claim)))
                });
                if listed { metrics.listed(Listed::Claims) }
            }
            Some(event) = volumes.next() => {
                let listed = queue.take_in(event, |volume| {
                    provisioner.doomed(&volume).is_some().then(|| Job::Delete(Box::new(volume)))
                });
                if listed { metrics.listed(Listed::Volumes) }
            }
            () = wake, if due.is_some() => queue.work(&provisioner).await,
        }
    }
}

impl Queue {
    /// Takes a watch event in; true at the end of a full list.
    fn take_in<K: kube::Resource>(
        &mut self,
        event: Result<watcher::Event<K>, watcher::Error>,
        job: impl FnOnce(K) -> Option<Job>,
    ) -> bool {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                let key = key(&object);
                match job(object) {
                    Some(job) => {
                        let entry = Entry { job, due: Instant::now(), backoff: Backoff::default() };
                        self.0.insert(key, entry);
                    }
                    None => drop(self.0.remove(&key)),
                }
            }
            Ok(watcher::Event::Delete(object)) => drop(self.0.remove(&key(&object))),
            Ok(watcher::Event::Init) => {}
            Ok(watcher::Event::InitDone) => return true,
            Err(error) => tracing::warn!(error = %chain(&error), "watch failed"),
        }
        false
    }

    fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|entry| entry.due).min()
    }

    /// Does the first job that is due.
    async fn work(&mut self, provisioner: &Provisioner) {
        let now = Instant::now();
        let Some((key, entry)) = self.0.iter_mut().filter(|(_, e)| e.due <= now).min_by_key(|(_, e)| e.due) else {
            return;
        };
        let work = async {
            match &entry.job {
                Job::Provision(claim) => provisioner.provision(claim).await,
                Job::Delete(volume) => provisioner.delete(volume).await,
            }
        };
        let wait = match tokio::time::timeout(TRY_TIME, work).await {
            Ok(Ok(Outcome::Settled)) => None,
            Ok(Ok(Outcome::LookAgain(wait))) => Some(wait),
            Ok(Err(trouble)) => Some(entry.after_failure(&key.1, Some(&trouble))),
            Err(_) => Some(entry.after_failure(&key.1, None)),
        };
        match wait {
            Some(wait) => entry.due = Instant::now() + wait,
            None => {
                let key = key.clone();
                self.0.remove(&key);
            }
        }
    }
}

impl Entry {
    fn after_failure(&mut self, name: &str, trouble: Option<&Trouble>) -> Duration {
        match trouble {
            Some(trouble) => tracing::warn!(name, error = %chain(trouble), "failed, will try again"),
            None => tracing::warn!(name, "took too long, will try again"),
        }
        // The back-off never ends.
        self.backoff.next().unwrap_or(TRY_TIME)
    }
}

fn key<K: kube::Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}
