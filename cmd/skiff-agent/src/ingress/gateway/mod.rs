//! The Gateway API: Gateway, HTTPRoute and what belongs to them, if the cluster has these kinds.

pub(super) mod compile;
mod filters;
mod grant;
mod listener;
pub(super) mod objects;
pub(super) mod status;
#[cfg(test)]
mod tests;
pub(super) mod watch;
