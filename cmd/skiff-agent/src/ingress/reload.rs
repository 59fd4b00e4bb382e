//! Makes a new table whenever something has changed, and puts it in force.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    compile::{CertCache, Compiled, compile},
    gateway::status::Reports,
    objects::{Id, LoadBalancerAddress},
    problem::Problem,
    proxy::Shared,
    state::State,
};

/// How long changes are gathered: objects that are applied together come together.
const GATHER: Duration = Duration::from_millis(10);

/// What a table was made from, for those who tell others about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// The ingresses that are served, and where they say they are reached.
    pub(super) served: Vec<(Id, Vec<LoadBalancerAddress>)>,
    /// What is told about gateways and their routes.
    pub(super) gateway: Reports,
    /// The names whose addresses are needed.
    pub(super) names: BTreeSet<String>,
}

/// Follows the state. Never returns.
pub(super) async fn run(state: &State, shared: &Shared, told: &watch::Sender<Arc<Outcome>>) {
    let mut certs = CertCache::default();
    let mut pause = GATHER;
    let mut first = true;
    loop {
        state.changed().await;
        if !state.is_complete() {
            continue;
        }
        if !std::mem::take(&mut first) {
            tokio::time::sleep(pause).await;
        }
        let started = Instant::now();
        let compiled = state.read(|objects| compile(objects, &mut certs));
        let mut compiled = compiled;
        let table = std::mem::take(&mut compiled.table);
        let routes = table.len();
        shared.replace(table);
        shared.metrics.reloads.add();
        let took = started.elapsed();
        tracing::debug!(routes, ?took, "routes in force");
        // With very many rules the work must not take all of the time.
        pause = GATHER.max(took * 3);
        let Compiled { problems, served, gateway, names, .. } = compiled;
        told.send_replace(Arc::new(Outcome { problems, served, gateway, names }));
    }
}
