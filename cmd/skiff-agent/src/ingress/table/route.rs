//! A route and where it leads.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderName, StatusCode};
use regex_lite::Regex;

use super::conditions::Conditions;
use crate::ingress::policy::Policy;

/// What is done with the requests that match a rule.
#[derive(Debug)]
pub(crate) struct Route {
    /// The object it comes from, for the log.
    pub(crate) name: Arc<str>,
    /// What it asks of a request beside host and path.
    pub(crate) conditions: Conditions,
    /// What happens beside forwarding.
    pub(crate) policy: Arc<Policy>,
    /// What happens in the end.
    pub(crate) action: Action,
}

/// The end of a route.
#[derive(Debug)]
pub(crate) enum Action {
    /// To a backend.
    Forward(Split),
    /// A plain answer, for what cannot be served as it was asked for.
    Refuse(StatusCode),
}

/// Backends that share the requests.
#[derive(Debug)]
pub(crate) struct Split {
    /// The backends.
    pub(crate) shares: Vec<Share>,
    /// Another backend that gets some of them.
    pub(crate) canary: Option<Box<Canary>>,
    /// Backends that get copies, whose answers nobody waits for.
    pub(crate) mirrors: Vec<Mirror>,
    /// The answer where a backend does not exist.
    pub(crate) missing: StatusCode,
}

/// A backend and how much it gets.
#[derive(Debug)]
pub(crate) struct Share {
    /// Parts of the sum of all weights.
    pub(crate) weight: u32,
    /// The backend; none where it does not exist.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// What happens to its requests only.
    pub(crate) policy: Option<Arc<Policy>>,
}

/// A backend that gets copies of some requests.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// The backend.
    pub(crate) upstream: Arc<Upstream>,
    /// Its parts of `total`.
    pub(crate) weight: u32,
    /// What the weight is a part of.
    pub(crate) total: u32,
}

/// A backend on trial.
#[derive(Clone, Debug)]
pub(crate) struct Canary {
    /// The backend.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// Which requests it gets.
    pub(crate) rule: CanaryRule,
}

/// Which requests a backend on trial gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct CanaryRule {
    /// Its parts of `total`.
    pub(crate) weight: u32,
    /// What the weight is a part of.
    pub(crate) total: u32,
    /// A header that sends a request to it (`always`) or keeps it away (`never`).
    pub(crate) header: Option<HeaderName>,
    /// The value that the header must have instead.
    pub(crate) value: Option<String>,
    /// An expression for it.
    pub(crate) pattern: Option<Regex>,
    /// A cookie that does the same.
    pub(crate) cookie: Option<String>,
}

/// What a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 without TLS.
    H2c,
    /// HTTP/2 over TLS.
    H2,
}

impl Protocol {
    /// Whether it is HTTP/2.
    pub(crate) fn is_h2(self) -> bool {
        matches!(self, Self::H2c | Self::H2)
    }

    /// Whether it is TLS.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::H2)
    }
}

/// The endpoints of a port of a service.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    /// Service and port, for the log.
    pub(crate) name: String,
    /// What they speak.
    pub(crate) protocol: Protocol,
    /// Where they are.
    pub(crate) endpoints: Vec<SocketAddr>,
    /// Since when they are there.
    since: OnceLock<Instant>,
    next: AtomicUsize,
}

impl Upstream {
    /// A backend.
    pub(crate) fn new(name: String, protocol: Protocol, endpoints: Vec<SocketAddr>) -> Self {
        Self { name, protocol, endpoints, ..Self::default() }
    }

    /// Notes what this one takes the place of.
    pub(crate) fn replaces(&self, before: Option<&Self>) {
        let same = before.filter(|before| before.endpoints == self.endpoints);
        let since = same.and_then(|before| before.since.get().copied());
        // Whoever was first knows better.
        let _ = self.since.set(since.unwrap_or_else(Instant::now));
    }

    /// Whether endpoints have come or gone within this time.
    pub(crate) fn changed_within(&self, time: Duration) -> bool {
        self.since.get().is_some_and(|since| since.elapsed() < time)
    }

    /// The endpoints in the order they should be tried for the next request, each once.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = SocketAddr> + Clone + '_ {
        let start = match self.endpoints.len() {
            0 | 1 => 0,
            count => self.next.fetch_add(1, Ordering::Relaxed) % count,
        };
        self.endpoints[start..].iter().chain(&self.endpoints[..start]).copied()
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
