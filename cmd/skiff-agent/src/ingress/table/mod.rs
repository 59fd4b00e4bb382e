//! The routing table: which route a request takes. Built by `compile`, read by `proxy`, never changed.

mod certs;
mod conditions;
mod hosts;
mod normal;
mod paths;
mod route;

pub(crate) use certs::Certs;
pub(crate) use conditions::{Conditions, Pattern};
pub(crate) use hosts::{Depth, HostName, Hosts};
pub(crate) use normal::normal_path;
pub(crate) use paths::PathRule;
pub(crate) use route::{Action, Canary, CanaryRule, Mirror, Protocol, Route, Share, Split, Upstream};

use std::{collections::HashMap, sync::Arc};

/// The routes of one port, and the certificates.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Routes of the Gateway API for plain HTTP and for TLS: each listener has its own.
    pub(crate) gateway: [Hosts; 2],
    /// Routes of ingresses, the same for both.
    pub(crate) ingress: Hosts,
    /// Where the rest goes.
    pub(crate) default: Option<Arc<Route>>,
    /// The certificates.
    pub(crate) certs: Certs,
    /// All backends, by their name and protocol.
    pub(crate) upstreams: HashMap<(String, Protocol), Arc<Upstream>>,
}

/// What of a request matters for its route.
pub(crate) struct Asked<'a> {
    /// Whether it came over TLS.
    pub(crate) secure: bool,
    /// The host, in lower case and without a port.
    pub(crate) host: &'a str,
    /// The path in its normal form.
    pub(crate) path: &'a str,
    /// The rest.
    pub(crate) head: &'a http::request::Parts,
}

impl Table {
    /// The route for a request.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<&Arc<Route>> {
        let gateway = &self.gateway[usize::from(asked.secure)];
        gateway.find(asked).or_else(|| self.ingress.find(asked)).or(self.default.as_ref())
    }

    /// A backend as it is now.
    pub(crate) fn upstream(&self, name: &str, protocol: Protocol) -> Option<Arc<Upstream>> {
        self.upstreams.get(&(name.to_owned(), protocol)).cloned()
    }

    /// How many routes there are.
    pub(crate) fn len(&self) -> usize {
        self.ingress.len() + self.gateway.iter().map(Hosts::len).sum::<usize>()
    }
}
