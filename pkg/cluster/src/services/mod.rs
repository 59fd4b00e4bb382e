//! Reaching services from the host: their URLs, forwards for what cannot be reached directly, and the tunnel.
//!
//! `urls` and `listeners` decide, purely; `find` looks services up and says why one cannot be used; `bind`
//! takes ports of this host; `forward` carries connections to pods through the API server, without any right
//! on the host, and `datagrams` what is no connection; `tunnel` keeps listeners in step with the services of type LoadBalancer.

mod api;
mod bind;
mod datagrams;
mod error;
mod find;
mod forward;
mod listeners;
mod nearest;
mod protocol;
mod reach;
mod tunnel;
mod urls;

pub use api::ServiceApi;
pub use error::ServiceError;
pub use find::{Found, ServiceQuery, find_services, list_services};
pub use forward::Forward;
pub use protocol::Protocol;
pub use reach::cluster_away;
pub use tunnel::{TunnelOptions, tunnel};
pub(crate) use tunnel::{clear_left_by_tunnel, end_tunnel};
pub use urls::{Endpoint, Way};
