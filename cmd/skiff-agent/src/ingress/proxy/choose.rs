//! Which of several backends, and which endpoint of it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::Arc,
};

use http::{HeaderMap, header, request::Parts};

use super::Worker;
use crate::ingress::{
    policy::Policy,
    table::{CanaryRule, Split, Upstream},
};

/// A backend and what its requests alone go through.
pub(super) type Chosen<'a> = Option<(&'a Arc<Upstream>, Option<&'a Arc<Policy>>)>;

/// The backend for a request.
pub(super) fn backend<'a>(split: &'a Split, head: &Parts, worker: &Worker) -> Chosen<'a> {
    if let Some(canary) = &split.canary
        && takes(&canary.rule, head, worker)
    {
        return canary.upstream.as_ref().map(|upstream| (upstream, None));
    }
    let share = match split.shares.as_slice() {
        [only] => only,
        shares => {
            let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            let mut point = worker.random() % total.max(1);
            shares.iter().find(|share| {
                let weight = u64::from(share.weight);
                let inside = point < weight;
                point = point.saturating_sub(weight);
                inside
            })?
        }
    };
    let upstream = share.upstream.as_ref().filter(|_| share.weight > 0)?;
    Some((upstream, share.policy.as_ref()))
}

/// Whether a request goes to the backend on trial: by its header, by its cookie, by chance, in this order.
fn takes(rule: &CanaryRule, head: &Parts, worker: &Worker) -> bool {
    if let Some(value) = rule.header.as_ref().and_then(|name| head.headers.get(name)) {
        let value = value.to_str().unwrap_or_default();
        match (&rule.value, &rule.pattern) {
            (Some(wanted), _) if wanted == value => return true,
            (None, Some(pattern)) if pattern.is_match(value) => return true,
            (None, None) if value == "always" => return true,
            (None, None) if value == "never" => return false,
            _ => {}
        }
    }
    match rule.cookie.as_deref().and_then(|name| cookie(&head.headers, name)) {
        Some("always") => true,
        Some("never") => false,
        _ => worker.random() % u64::from(rule.total.max(1)) < u64::from(rule.weight),
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The name of an endpoint in a cookie. It says nothing about the address to who does not know it already.
pub(super) fn endpoint_id(upstream: &Upstream, address: SocketAddr) -> String {
    // This hasher's keys are fixed: the name is the same in each process, and after a restart.
    let mut hasher = DefaultHasher::new();
    (&upstream.name, address).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The endpoint that a cookie names.
pub(super) fn endpoint_by_id(upstream: &Upstream, id: &str) -> Option<SocketAddr> {
    upstream.endpoints.iter().copied().find(|address| endpoint_id(upstream, *address) == id)
}
