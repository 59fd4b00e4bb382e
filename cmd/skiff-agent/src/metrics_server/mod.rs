//! The role `metrics-server`: `metrics.k8s.io/v1beta1` for `kubectl top` and for autoscalers.
//!
//! `summary` reads what a kubelet says, `kubelets` asks them all, `sampler` keeps the answers for a moment;
//! `route` and `documents` are the API, purely; `trust` and `gate` let callers in, `registration` makes the
//! API server believe this server, and `serve` has the connections.

mod documents;
mod gate;
mod kubelets;
mod metrics;
mod registration;
mod route;
mod sampler;
mod serve;
mod summary;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinSet;

use self::{gate::Gate, kubelets::Kubelets, metrics::ServerMetrics, sampler::Sampler, serve::Server, trust::Trust};
use crate::{
    Error,
    api::{self, Access, Backoff},
    http,
    listen::Listen,
    runtime,
};

/// The port served unless another is named.
const DEFAULT_PORT: u16 = 10443;
/// The port of the health server.
const HEALTH_PORT: u16 = 10056;
/// Where the API server says whom to believe.
const TRUST: (&str, &str) = ("kube-system", "extension-apiserver-authentication");
/// How often that is read again.
const TRUST_PERIOD: Duration = Duration::from_secs(60);

/// Serve the metrics API.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MetricsServerArgs {
    /// Where to serve the API. The port is 10443 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    listen: Listen,
    /// Where to serve /health, /ready, /metrics and /drain. The port is 10056 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    /// The name that the API server calls this server by.
    #[arg(long, value_name = "NAME", default_value = "skiff-metrics-server.kube-system.svc")]
    server_name: String,
    /// The APIService to write the certificate of this server into.
    #[arg(long, value_name = "NAME", default_value = "v1beta1.metrics.k8s.io")]
    api_service: String,
    #[command(flatten)]
    access: Access,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: MetricsServerArgs) -> Result<(), Error> {
    runtime::block_on(runtime::until_told_to_end(serve(args)))
}

/// A certificate of this run.
struct Own {
    certificate: CertificateDer<'static>,
    pem: String,
    key: PrivateKeyDer<'static>,
}

impl Own {
    fn new(name: &str) -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).map_err(Error::Certificate)?;
        let CertifiedKey { cert, signing_key } = made;
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        Ok(Self { certificate: cert.der().clone(), pem: cert.pem(), key })
    }
}

async fn serve(args: MetricsServerArgs) -> Result<(), Error> {
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let listener = http::bind(args.listen.or_port(DEFAULT_PORT)).await?;
    let own = Own::new(&args.server_name)?;
    let (config, client) = api::connect_with_config(&args.access).await?;
    let metrics = Arc::new(ServerMetrics::default());
    let sampler = Arc::new(Sampler::new(Kubelets::new(client.clone(), config), Arc::clone(&metrics)));
    let registered = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let probe =
        Probe { sampler: Arc::clone(&sampler), registered: Arc::clone(&registered), metrics: Arc::clone(&metrics) };
    tasks.spawn(http::serve(health, Arc::new(probe)));
    tokio::spawn(first_look(Arc::clone(&sampler)));
    let trust = RwLock::new(first_trust(&client, &own).await);
    let gate = Gate::new(client.clone());
    let server = Arc::new(Server { api: client.clone(), gate, sampler, trust, metrics });
    tasks.spawn(serve::serve(listener, Arc::clone(&server)));
    let (pem, registrar) = (own.pem.clone(), client.clone());
    tasks.spawn(async move { registration::keep(registrar, args.api_service, pem, &registered).await });
    tasks.spawn(async move { follow_trust(&client, &own, &server).await });
    // All tasks are there for ever; the first to end has failed.
    tasks.join_next().await;
    Err(Error::TaskEnded)
}

/// Measures once without being asked: from then on there is something to serve.
async fn first_look(sampler: Arc<Sampler>) {
    for wait in Backoff::default() {
        match sampler.snapshot().await {
            Ok(_) if sampler.has_measured() => return tracing::info!("nodes are measured"),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %api::chain(&error), "cannot list the nodes"),
        }
        tokio::time::sleep(wait).await;
    }
}

/// Whom to believe, once the API server says so.
async fn first_trust(client: &Client, own: &Own) -> Arc<Trust> {
    let mut backoff = Backoff::default();
    loop {
        if let Some(trust) = read_trust(client, own).await {
            if !trust.knows_the_api_server() {
                tracing::warn!("the API server has no certificate authority for its own requests: they are refused");
            }
            return Arc::new(trust);
        }
        tokio::time::sleep(backoff.next().unwrap_or(TRUST_PERIOD)).await;
    }
}

/// Authorities change when a cluster's certificates are renewed. New connections follow.
async fn follow_trust(client: &Client, own: &Own, server: &Server) {
    loop {
        tokio::time::sleep(TRUST_PERIOD).await;
        if let Some(trust) = read_trust(client, own).await {
            *server.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
        }
    }
}

async fn read_trust(client: &Client, own: &Own) -> Option<Trust> {
    let (namespace, name) = TRUST;
    let found = match Api::<ConfigMap>::namespaced(client.clone(), namespace).get(name).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = %api::chain(&error), "cannot read {namespace}/{name}");
            return None;
        }
    };
    let data: BTreeMap<String, String> = found.data.unwrap_or_default();
    Trust::new(&data, &own.certificate, &own.key)
        .inspect_err(|error| tracing::warn!(error = %api::chain(error), "cannot use {namespace}/{name}"))
        .ok()
}

/// What the health server tells about this role.
struct Probe {
    sampler: Arc<Sampler>,
    registered: Arc<AtomicBool>,
    metrics: Arc<ServerMetrics>,
}

impl http::Probe for Probe {
    fn is_ready(&self) -> bool {
        self.registered.load(Ordering::Relaxed) && self.sampler.has_measured()
    }

    fn metrics(&self) -> String {
        self.metrics.page()
    }
}
