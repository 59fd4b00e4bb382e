//! The role `ingress`: HTTP and TLS routing by host and path, for Ingress objects and for HTTPRoutes.
//!
//! `watch` brings the objects into `state`; `reload` has `compile` make a `table` of them, purely, and puts it in force;
//! `proxy` serves by it, `tls` finds the certificates in it; `report` tells others what came out.

mod access_log;
mod annotations;
mod auth;
mod compile;
mod duties;
mod farewell;
mod gateway;
mod metrics;
mod names;
mod objects;
mod place;
mod policy;
mod problem;
mod proxy;
mod reload;
mod report;
mod selector;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

pub(crate) use tls::TlsFault;

use std::{net::IpAddr, path::PathBuf, sync::Arc, thread};

use ipnet::IpNet;
use tokio::task::JoinSet;

use self::{
    access_log::AccessLog,
    duties::Duties,
    metrics::IngressMetrics,
    proxy::{Listeners, Settings, Shared, Shutdown},
};
use crate::{
    Error,
    api::{self, Access},
    http,
    listen::Listen,
    runtime,
};

/// The ports served unless others are named: such that need no privilege.
const DEFAULT_PORTS: (u16, u16) = (8080, 8443);
/// The port of the health server.
const HEALTH_PORT: u16 = 10060;
/// More threads than this would take memory for nothing on a developer's machine.
const MOST_WORKERS: usize = 4;

/// Route HTTP and TLS by host and path.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct IngressArgs {
    /// Where to serve HTTP. The port is 8080 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    http_listen: Listen,
    /// Where to serve HTTPS. The port is 8443 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    https_listen: Listen,
    /// The port that clients reach HTTP by.
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    http_port: u16,
    /// The port that clients reach HTTPS by; redirections name it.
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    https_port: u16,
    /// Where to serve /health, /ready, /metrics and /drain. The port is 10060 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    /// How many threads serve; one for each processor, at most 4, unless given.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Whether each request is logged to standard output.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    access_log: bool,
    /// Networks of proxies in front whose X-Forwarded headers are believed. May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = networks, default_value = "")]
    trusted_proxy: Vec<Vec<IpNet>>,
    /// An address to write into the status of ingresses, instead of those of the nodes that serve. May be repeated.
    #[arg(long, value_name = "IP")]
    publish_address: Vec<IpAddr>,
    /// The file that names the cluster's name server.
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// The name of the pod that this is.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// The namespace of the pod that this is.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pod_namespace: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: IngressArgs) -> Result<(), Error> {
    runtime::block_on(serve(args))
}

async fn serve(args: IngressArgs) -> Result<(), Error> {
    // A second call finds the provider in place, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(IngressMetrics::default());
    let log = if args.access_log { AccessLog::to(std::io::stdout()) } else { AccessLog::off() };
    let settings = Settings { https_port: args.https_port, trusted: args.trusted_proxy.concat() };
    let shared = Arc::new(Shared::new(Arc::clone(&metrics), log, settings));
    let tls = tls::config(&shared).map_err(Error::DefaultCertificate)?;
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let (http_at, https_at) = (args.http_listen.or_port(DEFAULT_PORTS.0), args.https_listen.or_port(DEFAULT_PORTS.1));
    let listeners = Listeners::bind(http_at, https_at, tls, (args.http_port, args.https_port))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(http::serve(health, Arc::new(Probe(Arc::clone(&shared)))));
    let shutdown = Shutdown::new();
    let mut workers = Vec::new();
    let mut duties = None;
    let work = async {
        let client = api::connect(&args.access).await?;
        let duties = duties.insert(Duties::begin(&args, client, &shared, tasks));
        // Until there are routes, clients wait in the sockets instead of being told that there is nothing.
        let mut generation = shared.generation.subscribe();
        drop(generation.wait_for(|generation| *generation > 0).await);
        workers = proxy::start(&shared, &listeners, worker_count(args.workers), &shutdown)?;
        drop(listeners);
        tracing::info!(http = %http_at, https = %https_at, routes = shared.table.load().len(), "serving");
        duties.failed().await;
        Err(Error::TaskEnded)
    };
    let ended = runtime::until_told_to_end(work).await;
    shutdown.begin();
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().try_for_each(thread::JoinHandle::join));
    let farewell = async {
        if let Some(duties) = duties {
            duties.end().await;
        }
    };
    if !matches!(tokio::join!(joined, farewell).0, Ok(Ok(()))) {
        tracing::error!("a worker ended unexpectedly");
    }
    ended
}

/// Networks that commas separate; nothing is no network.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| format!("{part} is no network"))).collect()
}

fn worker_count(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS))
}

struct Probe(Arc<Shared>);

impl http::Probe for Probe {
    fn is_ready(&self) -> bool {
        *self.0.generation.borrow() > 0
    }

    fn metrics(&self) -> String {
        self.0.metrics.page(self.0.table.load().len(), self.0.log.dropped.get())
    }
}
