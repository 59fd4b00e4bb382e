//! What the role counts.

use crate::metrics::{Counter, Histogram, Page};

/// The counters of the role.
#[derive(Debug, Default)]
pub(super) struct ServerMetrics {
    /// Summaries that were read.
    pub(super) scrapes: Counter,
    /// Kubelets that gave none.
    pub(super) failed_scrapes: Counter,
    /// Requests that were answered with what they asked for.
    pub(super) answered: Counter,
    /// Requests that were refused or failed.
    pub(super) refused: Counter,
    /// Time from request to answer.
    pub(super) duration: Histogram,
}

impl ServerMetrics {
    /// Everything as a page.
    pub(super) fn page(&self) -> String {
        let mut page = Page::default();
        page.counter(
            "skiff_metrics_server_scrapes_total",
            "Kubelets that were asked for measurements.",
            &[("result=\"ok\"", self.scrapes.get()), ("result=\"failed\"", self.failed_scrapes.get())],
        );
        page.counter(
            "skiff_metrics_server_requests_total",
            "Requests to the metrics API.",
            &[("result=\"ok\"", self.answered.get()), ("result=\"refused\"", self.refused.get())],
        );
        page.histogram("skiff_metrics_server_request_duration_seconds", "Time from request to answer.", &self.duration);
        page.finish()
    }
}
