//! The records of a cluster, after the Kubernetes DNS specification 1.1: pure data and pure answers.
//! `watch` keeps a zone up to date, `server` asks it.

mod answer;
mod names;
pub(crate) mod records;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use answer::Outcome;
pub(crate) use store::{Zone, ZoneConfig, ZoneSize};
