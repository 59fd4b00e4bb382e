//! Ties the parts together: watches services and nodes, and sees that addresses are where they belong.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, Service as Object};
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::{Instant, sleep_until};

use super::{
    election,
    interface::Interface,
    ledger::{self, Verdict},
    metrics::LoadBalancerMetrics,
    peers::{Peers, says_ok},
    range::Pool,
    service::{Key, Service},
    status::{StatusWriter, Written},
};
use crate::api::{Backoff, chain};

/// How often the others are asked how they are.
const WITH_OTHERS: Duration = Duration::from_secs(1);
/// How often a node alone looks whether its addresses are still there.
const ALONE: Duration = Duration::from_secs(20);
/// The pause before a failed write is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How often a new address is announced: the first words may get lost, or be contradicted by the node that
/// had it before and has not heard of its death.
const ANNOUNCEMENTS: u8 = 4;

/// What does not change while the role runs.
pub(super) struct Settings {
    /// This node.
    pub(super) node: String,
    /// Its own address.
    pub(super) node_ip: Ipv4Addr,
    /// The addresses to hand out.
    pub(super) range: Ipv4Net,
}

/// The role at work.
pub(super) struct Work {
    settings: Settings,
    interface: Arc<Interface>,
    peers: Peers,
    status: StatusWriter,
    metrics: Arc<LoadBalancerMetrics>,
    services: BTreeMap<Key, Service>,
    /// Addresses that are to be announced so many times more.
    news: BTreeMap<Ipv4Addr, u8>,
    /// What is collected while a full list comes in.
    listing: (BTreeSet<Key>, BTreeSet<String>),
    /// Whether all services and all nodes have been seen once.
    listed: (bool, bool),
}

impl Work {
    /// A role that knows nothing yet.
    pub(super) fn new(
        settings: Settings,
        interface: Arc<Interface>,
        peers: Peers,
        status: StatusWriter,
        metrics: Arc<LoadBalancerMetrics>,
    ) -> Self {
        let (services, news) = (BTreeMap::new(), BTreeMap::new());
        Self {
            settings,
            interface,
            peers,
            status,
            metrics,
            services,
            news,
            listing: (BTreeSet::new(), BTreeSet::new()),
            listed: (false, false),
        }
    }

    /// Works. Never returns.
    pub(super) async fn run(mut self, client: Client) {
        let config = watcher::Config::default().any_semantic();
        let services = watcher(Api::<Object>::all(client.clone()), config.clone()).backoff(Backoff::default());
        let nodes = watcher(Api::<Node>::all(client), config).backoff(Backoff::default());
        let (mut services, mut nodes) = (std::pin::pin!(services), std::pin::pin!(nodes));
        let (mut next, mut probe) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                Some(event) = services.next() => {
                    if !self.take_service(event) { continue }
                }
                Some(event) = nodes.next() => {
                    if !self.take_node(event) { continue }
                }
                () = sleep_until(next) => {}
            }
            // Who starts must not grab the addresses of nodes that it has not listened to yet.
            if self.listed != (true, true) {
                next = Instant::now() + WITH_OTHERS;
                continue;
            }
            // However often services change.
            if Instant::now() >= probe {
                self.peers.probe().await;
                probe = Instant::now() + WITH_OTHERS;
            }
            let rest = self.settle().await;
            next = Instant::now() + rest;
        }
    }

    /// Takes in a change of a service. False while a list is incomplete, or nothing that matters changed.
    fn take_service(&mut self, event: Result<watcher::Event<Object>, watcher::Error>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.listing.0.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let key = key(&object);
                self.put(key.clone(), Service::read(object));
                self.listing.0.insert(key);
            }
            Ok(watcher::Event::InitDone) => {
                let listed = std::mem::take(&mut self.listing.0);
                self.services.retain(|key, _| listed.contains(key));
                self.listed.0 = true;
                return true;
            }
            Ok(watcher::Event::Apply(object)) => return self.put(key(&object), Service::read(object)),
            Ok(watcher::Event::Delete(object)) => return self.put(key(&object), None),
            Err(error) => tracing::warn!(error = %chain(&error), "watch failed, what is known stays in use"),
        }
        false
    }

    /// True if the service mattered before or does now.
    fn put(&mut self, key: Key, service: Option<Service>) -> bool {
        match service {
            Some(service) => drop(self.services.insert(key, service)),
            None => return self.services.remove(&key).is_some(),
        }
        true
    }

    fn take_node(&mut self, event: Result<watcher::Event<Node>, watcher::Error>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.listing.1.clear(),
            Ok(watcher::Event::InitApply(node)) => {
                self.peers.apply(&node);
                self.listing.1.insert(node.name_any());
            }
            Ok(watcher::Event::InitDone) => {
                self.peers.retain(&std::mem::take(&mut self.listing.1));
                self.listed.1 = true;
                return true;
            }
            // Nodes report every few seconds; what is new among it can wait for the next look.
            Ok(watcher::Event::Apply(node)) => self.peers.apply(&node),
            Ok(watcher::Event::Delete(node)) => self.peers.remove(&node.name_any()),
            Err(error) => tracing::warn!(error = %chain(&error), "watch failed, what is known stays in use"),
        }
        false
    }

    /// Brings statuses and addresses in order. Returns how long to rest.
    async fn settle(&mut self) -> Duration {
        let nodes = self.peers.addresses().chain([self.settings.node_ip]);
        let pool = Pool::new(self.settings.range, self.interface.subnet(), nodes);
        let verdicts = ledger::judge(&self.services, &pool);
        let written = if self.peers.i_keep_the_books() {
            let written = self.status.write(&self.services, &verdicts).await;
            self.take_written(written)
        } else {
            true
        };
        let mine = self.mine(&verdicts).await;
        let added = self.interface.keep_only(self.settings.range, &mine).await;
        self.metrics.holds(mine.len());
        self.news.retain(|address, _| mine.contains(address));
        self.news.extend(added.into_iter().map(|address| (address, ANNOUNCEMENTS)));
        self.announce().await;
        match (self.peers.has_others() || !self.news.is_empty(), written) {
            (true, _) => WITH_OTHERS,
            (false, false) => AFTER_FAILURE,
            (false, true) => ALONE,
        }
    }

    /// Remembers what was written, so that it is not written again before the watch tells of it. False if
    /// anything has to be tried again.
    fn take_written(&mut self, written: Vec<Written>) -> bool {
        let mut done = true;
        for written in written {
            match written {
                Written::New(object) => drop(self.put(key(&object), Service::read(*object))),
                Written::Not => {}
                Written::Failed => done = false,
            }
        }
        done
    }

    async fn announce(&mut self) {
        for (address, left) in &mut self.news {
            self.interface.announce(*address).await;
            *left -= 1;
        }
        self.news.retain(|_, left| *left > 0);
    }

    /// The addresses that this node answers for.
    async fn mine(&self, verdicts: &BTreeMap<Key, Verdict>) -> BTreeSet<Ipv4Addr> {
        let mut ports: BTreeMap<Ipv4Addr, BTreeSet<u16>> = BTreeMap::new();
        for (key, verdict) in verdicts {
            if let (Verdict::Keep(address), Some(service)) = (verdict, self.services.get(key)) {
                ports.entry(*address).or_default().extend(service.local);
            }
        }
        let candidates = self.peers.candidates();
        let mut mine = BTreeSet::new();
        for (address, ports) in ports {
            let able = able(&candidates, &ports).await;
            if election::holder(address, able) == Some(self.settings.node.as_str()) {
                mine.insert(address);
            }
        }
        mine
    }
}

/// The candidates that have endpoints of every service with the local policy; all of them, if none has.
async fn able<'a>(candidates: &BTreeMap<&'a str, Option<Ipv4Addr>>, ports: &BTreeSet<u16>) -> Vec<&'a str> {
    let all = || candidates.keys().copied().collect();
    if ports.is_empty() || candidates.len() < 2 {
        return all();
    }
    let asked = candidates.iter().map(async |(name, address)| {
        let address = (*address)?;
        // kube-proxy tells it, as it does to the load balancers of clouds.
        let answers = join_all(ports.iter().map(|port| says_ok(address, *port, "/healthz"))).await;
        answers.into_iter().all(|has_endpoints| has_endpoints).then_some(*name)
    });
    let able: Vec<&str> = join_all(asked).await.into_iter().flatten().collect();
    if able.is_empty() { all() } else { able }
}

fn key(object: &Object) -> Key {
    Key { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}
