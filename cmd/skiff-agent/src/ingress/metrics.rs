//! What the ingress counts.

use http::StatusCode;

use crate::metrics::{Counter, Histogram, Page};

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct IngressMetrics {
    classes: [Counter; 5],
    /// From a request's head to the answer's.
    pub(crate) duration: Histogram,
    /// Connections taken.
    pub(crate) connections: Counter,
    /// TLS connections that failed before a request.
    pub(crate) handshakes_failed: Counter,
    /// Requests that were sent again, to another endpoint or on another connection.
    pub(crate) retries: Counter,
    /// Connections to endpoints that failed.
    pub(crate) connects_failed: Counter,
    /// Connections that were handed over to both sides.
    pub(crate) tunnels: Counter,
    /// Tables put in force.
    pub(crate) reloads: Counter,
    /// Failed watches.
    pub(crate) watch_errors: Counter,
    /// Updates of status that failed.
    pub(crate) status_errors: Counter,
}

impl IngressMetrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            class.add();
        }
    }

    /// Everything as a page.
    pub(crate) fn page(&self, routes: usize, dropped_lines: u64) -> String {
        let mut page = Page::default();
        let [informational, success, redirection, client, server] = self.classes.each_ref().map(Counter::get);
        page.counter(
            "skiff_ingress_requests_total",
            "Requests answered.",
            &[
                ("code=\"1xx\"", informational),
                ("code=\"2xx\"", success),
                ("code=\"3xx\"", redirection),
                ("code=\"4xx\"", client),
                ("code=\"5xx\"", server),
            ],
        );
        page.histogram(
            "skiff_ingress_request_duration_seconds",
            "From a request's head to the answer's.",
            &self.duration,
        );
        let counters = [
            ("connections_total", "Connections taken.", &self.connections),
            ("tls_handshakes_failed_total", "TLS connections that failed before a request.", &self.handshakes_failed),
            ("retries_total", "Requests sent again.", &self.retries),
            ("connects_failed_total", "Connections to endpoints that failed.", &self.connects_failed),
            ("tunnels_total", "Connections handed over to both sides, such as websockets.", &self.tunnels),
            ("reloads_total", "Routing tables put in force.", &self.reloads),
            ("watch_errors_total", "Failed watches.", &self.watch_errors),
            ("status_errors_total", "Updates of status that failed.", &self.status_errors),
        ];
        for (name, help, counter) in counters {
            page.counter(&format!("skiff_ingress_{name}"), help, &[("", counter.get())]);
        }
        page.counter("skiff_ingress_log_lines_dropped_total", "Access log lines nobody read.", &[("", dropped_lines)]);
        page.gauge("skiff_ingress_routes", "Routes in force.", routes as u64);
        page.finish()
    }
}
