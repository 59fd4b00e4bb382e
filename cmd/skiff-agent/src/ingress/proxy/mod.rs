//! The proxy: takes connections, finds routes, forwards. One `Worker` a thread, each with its own runtime and its own
//! connections to backends, so that nothing is handed from one thread to another.

mod accept;
mod answers;
mod body;
mod choose;
mod early;
mod exchange;
mod forward;
mod headers;
mod mirror;
mod outgoing;
mod pool;
mod serve;
mod tls_client;
mod tunnel;

#[cfg(test)]
pub(super) use tls_client::trusting_config;

pub(crate) use accept::{Listeners, Shutdown, start};

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::sync::watch;

use self::pool::Pool;
use super::{access_log::AccessLog, metrics::IngressMetrics, table::Table};

/// What all workers share.
pub(crate) struct Shared {
    /// The routes in force.
    pub(crate) table: ArcSwap<Table>,
    /// Counts the tables that have been in force, for who waits for the next one.
    pub(crate) generation: watch::Sender<u64>,
    /// The counters.
    pub(crate) metrics: Arc<IngressMetrics>,
    /// The access log.
    pub(crate) log: Arc<AccessLog>,
    /// The settings.
    pub(crate) settings: Settings,
}

/// What the command line says about forwarding.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The port that clients reach HTTPS by.
    pub(crate) https_port: u16,
    /// Proxies in front, whose word about the client counts.
    pub(crate) trusted: Vec<IpNet>,
}

impl Shared {
    /// With a table that knows no routes yet.
    pub(crate) fn new(metrics: Arc<IngressMetrics>, log: Arc<AccessLog>, settings: Settings) -> Self {
        Self { table: ArcSwap::default(), generation: watch::Sender::new(0), metrics, log, settings }
    }

    /// Puts a table in force. Requests under way keep the route that they have.
    pub(crate) fn replace(&self, table: Table) {
        let before = self.table.load();
        for (key, upstream) in &table.upstreams {
            upstream.replaces(before.upstreams.get(key).map(Arc::as_ref));
        }
        drop(before);
        self.table.store(Arc::new(table));
        self.generation.send_modify(|generation| *generation += 1);
    }
}

/// One thread of the proxy.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    random: AtomicU64,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        let mut seed = [0; 8];
        // Only shares and request ids come from it; a failure to seed it makes them less random, not wrong.
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed);
        Self { shared, pool: Arc::new(Pool::new()), random: AtomicU64::new(u64::from_ne_bytes(seed)) }
    }

    /// The next random number: splitmix64, which is small, fast and even enough for shares.
    fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
