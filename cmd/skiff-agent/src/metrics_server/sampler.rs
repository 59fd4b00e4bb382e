//! Keeps the last measurements, and measures again when somebody asks and they are old.
//!
//! Kubelets measure all the time anyway. Asking them only on demand costs nothing while nobody looks.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    kubelets::Kubelets,
    metrics::ServerMetrics,
    summary::{Containers, Counters, PodKey, Usage},
};
use crate::api;

/// Kubelets measure more seldom than this, so younger measurements are as good as new ones.
const FRESH: Duration = Duration::from_secs(5);

/// All measurements of a moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The nodes.
    pub(super) nodes: HashMap<String, Usage>,
    /// The pods.
    pub(super) pods: HashMap<PodKey, Containers>,
}

/// Takes snapshots.
pub(super) struct Sampler {
    kubelets: Kubelets,
    last: Mutex<Last>,
    measured: AtomicBool,
    metrics: Arc<ServerMetrics>,
}

#[derive(Default)]
struct Last {
    taken: Option<Instant>,
    snapshot: Arc<Snapshot>,
    counters: HashMap<String, Counters>,
}

impl Sampler {
    pub(super) fn new(kubelets: Kubelets, metrics: Arc<ServerMetrics>) -> Self {
        Self { kubelets, last: Mutex::default(), measured: AtomicBool::new(false), metrics }
    }

    /// Whether any node has been measured yet.
    pub(super) fn has_measured(&self) -> bool {
        self.measured.load(Ordering::Relaxed)
    }

    /// The measurements of now or of some seconds ago. Who asks while others wait gets what they get.
    pub(super) async fn snapshot(&self) -> Result<Arc<Snapshot>, kube::Error> {
        let mut last = self.last.lock().await;
        if last.taken.is_some_and(|taken| taken.elapsed() < FRESH) {
            return Ok(Arc::clone(&last.snapshot));
        }
        let answers = self.kubelets.ask().await?;
        let (mut counters, mut snapshot) = (HashMap::new(), Snapshot::default());
        for (node, answer) in answers {
            match answer {
                Ok(summary) => {
                    self.metrics.scrapes.add();
                    let reading = summary.reading(&last.counters.remove(&node).unwrap_or_default());
                    snapshot.pods.extend(reading.pods);
                    snapshot.nodes.extend(reading.node.map(|usage| (node.clone(), usage)));
                    counters.insert(node, reading.counters);
                }
                Err(error) => {
                    self.metrics.failed_scrapes.add();
                    tracing::warn!(node, error = %api::chain(&error), "no measurements");
                }
            }
        }
        if !snapshot.nodes.is_empty() {
            self.measured.store(true, Ordering::Relaxed);
        }
        let snapshot = Arc::new(snapshot);
        *last = Last { taken: Some(Instant::now()), snapshot: Arc::clone(&snapshot), counters };
        Ok(snapshot)
    }
}
