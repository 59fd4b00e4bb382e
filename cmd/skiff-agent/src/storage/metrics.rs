//! What the storage role counts and whether it is ready.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::{
    http::Probe,
    metrics::{Counter, Page},
};

/// The counters of the storage role.
#[derive(Debug, Default)]
pub(super) struct StorageMetrics {
    /// Volumes made.
    pub(super) provisioned: Counter,
    /// Failed tries to make one.
    pub(super) provision_failures: Counter,
    /// Volumes removed.
    pub(super) deleted: Counter,
    /// Failed tries to remove one.
    pub(super) delete_failures: Counter,
    listed: AtomicU8,
}

/// What has to be listed once before the role is ready.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Listed {
    Claims = 1,
    Volumes = 2,
}

impl StorageMetrics {
    /// Remembers a first full list.
    pub(super) fn listed(&self, what: Listed) {
        self.listed.fetch_or(what as u8, Ordering::Release);
    }
}

impl Probe for StorageMetrics {
    fn is_ready(&self) -> bool {
        self.listed.load(Ordering::Acquire) == Listed::Claims as u8 | Listed::Volumes as u8
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        page.counter(
            "skiff_storage_provisions_total",
            "Tries to make a volume.",
            &[("result=\"success\"", self.provisioned.get()), ("result=\"failure\"", self.provision_failures.get())],
        );
        page.counter(
            "skiff_storage_deletions_total",
            "Tries to remove a volume.",
            &[("result=\"success\"", self.deleted.get()), ("result=\"failure\"", self.delete_failures.get())],
        );
        page.gauge(
            "skiff_storage_synced",
            "Whether all claims and volumes have been seen once.",
            u64::from(self.is_ready()),
        );
        page.finish()
    }
}
