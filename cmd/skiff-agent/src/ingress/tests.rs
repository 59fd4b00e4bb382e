//! The proxy as a whole, in this process: real sockets on the loopback interface, backends that are played.

mod backend;
mod behaviour;
mod endings;
mod guards;
mod mirror;
mod streams;
mod support;
mod tls;

pub(super) use support::{chunk, ingress, objects, service};
