//! What the parts of the DNS role share: the zone, what of it is known, and the metrics.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU8, Ordering},
};

use super::{
    metrics::DnsMetrics,
    zone::{Zone, ZoneSize},
};

/// The parts of the zone, each filled by a watch of its own.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Part {
    Services = 1,
    Slices = 2,
    Namespaces = 4,
}

/// All parts.
const COMPLETE: u8 = Part::Services as u8 | Part::Slices as u8 | Part::Namespaces as u8;

/// The shared state.
#[derive(Debug)]
pub(super) struct State {
    zone: RwLock<Zone>,
    filled: AtomicU8,
    pub(super) metrics: Arc<DnsMetrics>,
}

impl State {
    /// A state around a zone that nothing is known of yet.
    pub(super) fn new(zone: Zone, metrics: Arc<DnsMetrics>) -> Self {
        Self { zone: RwLock::new(zone), filled: AtomicU8::new(0), metrics }
    }

    /// Changes the zone. After the first change of each part, which is its first full list, it is complete.
    pub(super) fn change(&self, part: Part, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.write().unwrap_or_else(PoisonError::into_inner));
        let before = self.filled.fetch_or(part as u8, Ordering::Release);
        if before != COMPLETE && before | part as u8 == COMPLETE {
            tracing::info!(size = ?self.size(), "zone complete, ready");
        }
    }

    /// Reads the zone.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Zone) -> T) -> T {
        read(&self.zone.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether all parts have been filled once.
    pub(super) fn is_complete(&self) -> bool {
        self.filled.load(Ordering::Acquire) == COMPLETE
    }

    /// How much the zone holds.
    pub(super) fn size(&self) -> ZoneSize {
        self.read(Zone::size)
    }
}
