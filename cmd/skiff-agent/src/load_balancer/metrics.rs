//! What the load balancer counts and whether it is ready.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{
    http::Probe,
    metrics::{Counter, Page},
};

/// The counters of the role.
#[derive(Debug, Default)]
pub(super) struct LoadBalancerMetrics {
    /// Addresses written into services.
    pub(super) given: Counter,
    /// Wishes that could not be granted.
    pub(super) refused: Counter,
    /// Writes that failed.
    pub(super) write_failures: Counter,
    held: AtomicU64,
    ready: AtomicBool,
}

impl LoadBalancerMetrics {
    /// Remembers how many addresses this node answers for. The first time it is ready.
    pub(super) fn holds(&self, addresses: usize) {
        self.held.store(addresses as u64, Ordering::Relaxed);
        self.ready.store(true, Ordering::Release);
    }
}

impl Probe for LoadBalancerMetrics {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        page.counter(
            "skiff_load_balancer_assignments_total",
            "Services that were given an address, or could not be.",
            &[("result=\"success\"", self.given.get()), ("result=\"refused\"", self.refused.get())],
        );
        page.counter(
            "skiff_load_balancer_write_failures_total",
            "Statuses that could not be written.",
            &[("", self.write_failures.get())],
        );
        page.gauge(
            "skiff_load_balancer_addresses",
            "Addresses that this node answers for.",
            self.held.load(Ordering::Relaxed),
        );
        page.finish()
    }
}
