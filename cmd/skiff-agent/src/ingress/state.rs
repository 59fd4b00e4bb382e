//! What the parts of the role share: the objects as the watches bring them, and who waits for changes.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU16, Ordering},
};

use tokio::sync::Notify;

use super::objects::Objects;

/// The kinds without which nothing can be served. Each is filled by a watch of its own.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(super) enum Part {
    Classes = 1,
    Ingresses = 2,
    Services = 4,
    Slices = 8,
    Secrets = 16,
    GatewayClasses = 32,
    Gateways = 64,
    Routes = 128,
    Grants = 256,
    Namespaces = 512,
}

impl Part {
    /// Those that only the Gateway API needs: filled as well when the server does not have it.
    pub(super) const GATEWAY: [Self; 5] =
        [Self::GatewayClasses, Self::Gateways, Self::Routes, Self::Grants, Self::Namespaces];
}

const COMPLETE: u16 = 1023;

/// The shared state.
#[derive(Debug, Default)]
pub(super) struct State {
    objects: Mutex<Objects>,
    filled: AtomicU16,
    changed: Notify,
}

impl State {
    /// Changes the objects.
    pub(super) fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Notes that all objects of a kind are there.
    pub(super) fn fill(&self, part: Part) {
        self.filled.fetch_or(part as u16, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether all kinds have been filled once.
    pub(super) fn is_complete(&self) -> bool {
        self.filled.load(Ordering::Acquire) == COMPLETE
    }

    /// Waits for the next change, or for one that nobody has waited for yet.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Reads the objects.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Objects) -> T) -> T {
        read(&self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
