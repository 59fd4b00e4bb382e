//! The role `ingress-dns`: the names of all Ingresses, for resolvers outside the cluster.
//!
//! `hosts` knows the names, purely; `respond` makes messages of them; the sockets are those of `dns`.

mod hosts;
mod respond;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use hickory_proto::rr::Name;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, runtime::watcher};
use tokio::task::JoinSet;

use self::{
    hosts::{Hosts, Rules},
    respond::Responder,
};
use crate::{
    Error,
    api::{self, Access},
    dns::{
        metrics::ServerMetrics,
        server::{self, Sockets},
        watch::{Change, follow},
    },
    http,
    listen::Listen,
    metrics::{Counter, Page},
    runtime,
};

/// The port served unless another is named.
const DEFAULT_PORT: u16 = 53;
/// The port of the health server.
const HEALTH_PORT: u16 = 10057;

/// Answer for the hosts of all Ingresses.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct IngressDnsArgs {
    /// Where to serve DNS over UDP and TCP; may be repeated. The port is 53 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    listen: Vec<Listen>,
    /// Where to serve /health, /ready, /metrics and /drain. The port is 10057 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    /// The address of hosts whose Ingress has none of its own; may be repeated.
    #[arg(long, value_name = "IP", required = true)]
    address: Vec<IpAddr>,
    /// Answer with this address in place of all others, for hosts that do not reach the cluster's.
    #[arg(long, value_name = "IP", default_value = "", value_parser = parse_answer)]
    answer: Answer,
    /// A domain whose names all lead to that address, with or without `*.` in front; may be repeated.
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',', value_parser = parse_domain)]
    domain: Vec<Domain>,
    #[command(flatten)]
    access: Access,
}

/// An address, or nothing where the setting is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer(Option<IpAddr>);

fn parse_answer(text: &str) -> Result<Answer, std::net::AddrParseError> {
    if text.is_empty() { Ok(Answer(None)) } else { text.parse().map(|ip| Answer(Some(ip))) }
}

/// A domain, or nothing where the list of domains is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Domain(Option<String>);

fn parse_domain(text: &str) -> Result<Domain, String> {
    let text = text.trim();
    let text = text.strip_prefix("*.").unwrap_or(text).trim_matches('.').to_ascii_lowercase();
    if text.is_empty() {
        return Ok(Domain(None));
    }
    if text.contains('*') {
        return Err("a star can only be the first label".to_owned());
    }
    Name::from_ascii(&text).map_err(|error| error.to_string())?;
    Ok(Domain(Some(text)))
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: IngressDnsArgs) -> Result<(), Error> {
    runtime::block_on(runtime::until_told_to_end(serve(args)))
}

async fn serve(args: IngressDnsArgs) -> Result<(), Error> {
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let mut sockets = Vec::new();
    for listen in &args.listen {
        sockets.push(Sockets::bind(listen.or_port(DEFAULT_PORT)).await?);
    }
    let domains = args.domain.into_iter().filter_map(|domain| domain.0).collect();
    let responder = Arc::new(Responder::new(Hosts::new(domains, args.address, args.answer.0)));
    let (metrics, errors) = (Arc::new(ServerMetrics::default()), Arc::new(Counter::default()));
    let mut tasks = JoinSet::new();
    for pair in sockets {
        tasks.spawn(server::serve(pair, Arc::clone(&responder), Arc::clone(&metrics)));
    }
    let probe = Probe { responder: Arc::clone(&responder), metrics, errors: Arc::clone(&errors) };
    tasks.spawn(http::serve(health, Arc::new(probe)));
    let client = api::connect(&args.access).await?;
    tasks.spawn(async move { watch(client, &responder, &errors).await });
    // All tasks are there for ever; the first to end has failed.
    tasks.join_next().await;
    Err(Error::TaskEnded)
}

/// Keeps the names in step with the API server. Never returns.
async fn watch(client: Client, responder: &Responder, errors: &Counter) {
    loop {
        let config = watcher::Config::default().any_semantic();
        follow(Api::<Ingress>::all(client.clone()), config, errors, Rules::of, |change| {
            responder.change(|hosts| match change {
                Change::Apply(rules) => hosts.apply(rules),
                Change::Remove(namespace, name) => hosts.remove(&(namespace, name)),
                Change::Replace(all) => hosts.replace(all),
            });
        })
        .await;
    }
}

/// What the health server tells about this role.
struct Probe {
    responder: Arc<Responder>,
    metrics: Arc<ServerMetrics>,
    errors: Arc<Counter>,
}

impl http::Probe for Probe {
    fn is_ready(&self) -> bool {
        self.responder.is_complete()
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        self.metrics.write(&mut page);
        page.gauge("skiff_dns_hosts", "Hosts that Ingresses name.", self.responder.read(Hosts::len) as u64);
        page.counter("skiff_dns_watch_errors_total", "Failed watches.", &[("", self.errors.get())]);
        page.finish()
    }
}
