//! Names outside the cluster: cache, coalescing of equal questions, and a race between upstreams.
//!
//! Two things protect against an upstream that leads back to this server. Each upstream is sent a probe
//! question once, and whoever of us receives it drops that upstream. And equal questions in flight share
//! one answer, so that even an undetected loop ends in one time-out and never in a storm.

mod cache;
mod race;
mod source;
mod upstream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};

use self::{
    cache::{Cache, Key},
    source::Follower,
};
use super::metrics::DnsMetrics;
use crate::wire;

pub(crate) use race::Timing;
pub(crate) use source::Source;
pub(crate) use upstream::Upstream;

/// More questions than this at a time are not forwarded.
const MAX_IN_FLIGHT: usize = 1000;

type Flight = Shared<BoxFuture<'static, Option<Arc<Message>>>>;

/// Sends questions to upstream servers.
pub(crate) struct Forwarder {
    upstreams: Mutex<Vec<Arc<Upstream>>>,
    follower: Mutex<Follower>,
    cache: Mutex<Cache>,
    in_flight: Mutex<HashMap<Key, Flight>>,
    timing: Timing,
    metrics: Arc<DnsMetrics>,
}

impl Forwarder {
    /// A forwarder to the servers of `source` that keeps up to `cache_size` answers.
    /// Must be called inside a runtime, since it sends the loop probes at once.
    pub(crate) fn new(source: Source, cache_size: usize, timing: Timing, metrics: Arc<DnsMetrics>) -> Arc<Self> {
        let forwarder = Arc::new(Self {
            upstreams: Mutex::default(),
            follower: Mutex::new(Follower::new(source)),
            cache: Mutex::new(Cache::new(cache_size)),
            in_flight: Mutex::default(),
            timing,
            metrics,
        });
        forwarder.refresh();
        forwarder
    }

    /// Answers from the cache alone.
    pub(crate) fn cached(&self, query: &Query, dnssec_ok: bool, checking_disabled: bool) -> Option<Message> {
        let key = Key::new(query, dnssec_ok, checking_disabled);
        let hit = lock(&self.cache).get(&key, Instant::now());
        if hit.is_some() {
            self.metrics.cache_hits.add();
        }
        hit
    }

    /// Asks the upstreams, or joins in where the same question is under way. Nothing if none answers.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        query: &Query,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Option<Message> {
        self.refresh();
        self.metrics.cache_misses.add();
        let key = Key::new(query, dnssec_ok, checking_disabled);
        let flight = self.join_or_start(key, wire::question(query.clone(), dnssec_ok, checking_disabled))?;
        flight.await.map(|reply| Message::clone(&reply))
    }

    /// Recognises our own loop probe. True if `name` was one; its upstream is then dropped.
    pub(crate) fn catch_probe(&self, name: &Name) -> bool {
        let caught = lock(&self.upstreams).iter().find(|upstream| upstream.probe == *name).cloned();
        caught.inspect(|upstream| upstream.mark_looped()).is_some()
    }

    /// How many answers the cache holds.
    pub(crate) fn cache_len(&self) -> usize {
        lock(&self.cache).len()
    }

    fn join_or_start(self: &Arc<Self>, key: Key, question: Message) -> Option<Flight> {
        let mut in_flight = lock(&self.in_flight);
        if let Some(flight) = in_flight.get(&key) {
            return Some(flight.clone());
        }
        if in_flight.len() >= MAX_IN_FLIGHT {
            self.metrics.forwards_refused.add();
            return None;
        }
        let this = Arc::clone(self);
        let done = key.clone();
        let flight = async move {
            let upstreams = lock(&this.upstreams).clone();
            let reply = race::run(&upstreams, &question, this.timing).await.map(Arc::new);
            match &reply {
                Some(reply) => {
                    this.metrics.forwards_answered.add();
                    lock(&this.cache).put(done.clone(), reply, Instant::now());
                }
                None => this.metrics.forwards_failed.add(),
            }
            lock(&this.in_flight).remove(&done);
            reply
        }
        .boxed()
        .shared();
        in_flight.insert(key, flight.clone());
        // Driven on its own, so that it ends even if the client that asked first goes away.
        tokio::spawn(flight.clone());
        Some(flight)
    }

    fn refresh(&self) {
        let Some(servers) = lock(&self.follower).poll(Instant::now()) else { return };
        tracing::info!(?servers, "upstream servers");
        let upstreams: Vec<Arc<Upstream>> = servers.into_iter().map(|at| Arc::new(Upstream::new(at))).collect();
        for upstream in &upstreams {
            let (upstream, timing) = (Arc::clone(upstream), self.timing);
            tokio::spawn(async move {
                let query = Query::query(upstream.probe.clone(), RecordType::A);
                // The answer means nothing; only its coming back to us as a question does.
                let _ = upstream.ask(&wire::question(query, false, false), timing.attempt).await;
            });
        }
        *lock(&self.upstreams) = upstreams;
    }
}

/// Locks a value that is whole at every point, so that a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
