//! The role `dns`: cluster DNS after the Kubernetes DNS specification 1.1, and a forwarder for the rest.
//!
//! `zone` holds the records and answers questions, purely; `watch` fills it from the API server;
//! `respond` makes messages of the answers; `forward` asks upstream servers; `server` has the sockets.

mod convert;
pub(crate) mod forward;
pub(crate) mod metrics;
pub(crate) mod respond;
pub(crate) mod server;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

mod zone;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use hickory_proto::rr::Name;
use ipnet::IpNet;
use tokio::task::JoinSet;

use self::{
    forward::{Forwarder, Source, Timing},
    metrics::DnsMetrics,
    respond::Responder,
    server::Sockets,
    state::State,
    zone::{Zone, ZoneConfig},
};
use crate::{
    Error,
    api::{self, Access},
    http,
    listen::Listen,
    runtime,
};

/// The port served unless another is named: one that needs no privilege.
const DEFAULT_PORT: u16 = 10053;
/// The port of the health server.
const HEALTH_PORT: u16 = 10054;

/// Serve cluster DNS.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DnsArgs {
    /// The cluster domain.
    #[arg(long, default_value = "cluster.local", value_parser = parse_domain)]
    domain: Name,
    /// Where to serve DNS over UDP and TCP; may be repeated. The port is 10053 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::", value_delimiter = ',')]
    listen: Vec<Listen>,
    /// Where to serve /health, /ready, /metrics and /drain. The port is 10054 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    /// The file that names the upstream servers; read again when it changes.
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// An upstream server instead of those of the file; may be repeated. The port is 53 unless given.
    #[arg(long, value_name = "IP[:PORT]")]
    upstream: Vec<Listen>,
    /// The time to live of answers about the cluster, in seconds.
    #[arg(long, default_value_t = 5)]
    ttl: u32,
    /// How many foreign answers to keep.
    #[arg(long, default_value_t = 1000)]
    cache_size: usize,
    /// Networks of this cluster: reverse look-ups in them are never forwarded. May be repeated.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    local_network: Vec<IpNet>,
    /// A name outside of the cluster domain with its address. May be repeated.
    #[arg(long, value_name = "NAME=IP", value_parser = parse_host)]
    host: Vec<(Name, IpAddr)>,
    /// The service that this server is reached by.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "kube-system/kube-dns", value_parser = parse_service)]
    dns_service: (String, String),
    #[command(flatten)]
    access: Access,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: DnsArgs) -> Result<(), Error> {
    runtime::block_on(serve(args))
}

async fn serve(args: DnsArgs) -> Result<(), Error> {
    let metrics = Arc::new(DnsMetrics::default());
    let state = Arc::new(State::new(Zone::new(zone_config(&args), serial()), Arc::clone(&metrics)));
    let source = match args.upstream.as_slice() {
        [] => Source::File(args.resolv_conf.clone()),
        fixed => Source::Fixed(fixed.iter().map(|upstream| upstream.or_port(53)).collect()),
    };
    let mut tasks = JoinSet::new();
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let mut sockets = Vec::new();
    for listen in &args.listen {
        sockets.push(Sockets::bind(listen.or_port(DEFAULT_PORT)).await?);
    }
    let forwarder = Forwarder::new(source, args.cache_size, Timing::default(), Arc::clone(&metrics));
    let responder = Arc::new(Responder::new(Arc::clone(&state), Arc::clone(&forwarder)));
    for pair in sockets {
        tasks.spawn(server::serve(pair, Arc::clone(&responder), Arc::clone(&metrics.server)));
    }
    tasks.spawn(http::serve(health, Arc::new(Probe { state: Arc::clone(&state), forwarder })));
    let follow = async {
        let client = api::connect(&args.access).await?;
        tasks.spawn(watch::run(client, state));
        // All tasks are there for ever; the first to end has failed.
        tasks.join_next().await;
        Err(Error::TaskEnded)
    };
    runtime::until_told_to_end(follow).await
}

fn zone_config(args: &DnsArgs) -> ZoneConfig {
    ZoneConfig {
        domain: args.domain.clone(),
        ttl: args.ttl,
        dns_service: args.dns_service.clone(),
        local_networks: args.local_network.clone(),
        hosts: args.host.clone(),
    }
}

/// A serial that is larger than that of any earlier run.
fn serial() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // Serial numbers wrap around by design (RFC 1982).
    u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default()
}

fn parse_domain(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text.to_ascii_lowercase()).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    if name.is_root() { Err("the root is no cluster domain".to_owned()) } else { Ok(name) }
}

fn parse_host(text: &str) -> Result<(Name, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=IP")?;
    Ok((parse_domain(name)?, address.parse().map_err(|_| format!("`{address}` is not an IP address"))?))
}

fn parse_service(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

/// What the health server tells about this role.
struct Probe {
    state: Arc<State>,
    forwarder: Arc<Forwarder>,
}

impl http::Probe for Probe {
    fn is_ready(&self) -> bool {
        self.state.is_complete()
    }

    fn metrics(&self) -> String {
        let state = &self.state;
        state.metrics.page(state.size(), self.forwarder.cache_len(), state.is_complete())
    }
}
