//! From API objects to the routing table. Pure: the same objects give the same table and the same complaints.

mod backends;
mod certs;
mod class;
mod ingress;
#[cfg(test)]
mod tests;

pub(crate) use backends::{Backends, is_external};
pub(crate) use certs::CertCache;
pub(crate) use class::CONTROLLER;

use std::collections::BTreeSet;

use super::{
    gateway::{self, status::Reports},
    objects::{Id, LoadBalancerAddress, Objects},
    problem::Problem,
    table::Table,
};

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// The table.
    pub(crate) table: Table,
    /// What is wrong with the objects.
    pub(crate) problems: Vec<Problem>,
    /// The ingresses that are served, and where they say they are reached.
    pub(crate) served: Vec<(Id, Vec<LoadBalancerAddress>)>,
    /// What is told about gateways and their routes.
    pub(crate) gateway: Reports,
    /// The names whose addresses are needed.
    pub(crate) names: BTreeSet<String>,
}

/// Makes the table.
pub(crate) fn compile(objects: &Objects, certs: &mut CertCache) -> Compiled {
    let mut backends = Backends::new(objects);
    let mut compiled = Compiled::default();
    ingress::compile(objects, &mut backends, certs, &mut compiled);
    gateway::compile::compile(objects, &mut backends, certs, &mut compiled);
    certs.forget_unused();
    let found = backends.found();
    (compiled.table.upstreams, compiled.names) = (found.upstreams, found.names);
    compiled.table.ingress.finish();
    compiled.table.gateway.iter_mut().for_each(super::table::Hosts::finish);
    compiled
}
