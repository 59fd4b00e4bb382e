//! What goes on beside serving: following the API server, making routes, telling what came out.

use std::sync::Arc;

use tokio::{
    sync::watch::{Receiver, Sender},
    task::{AbortHandle, JoinSet},
};

use super::{
    IngressArgs, farewell, names,
    place::{self, Place},
    proxy::Shared,
    reload::{self, Outcome},
    report,
    state::State,
    watch,
};

/// The tasks at work.
pub(super) struct Duties {
    client: kube::Client,
    /// The namespace of the pod that this is, if it is one.
    namespace: Option<String>,
    state: Arc<State>,
    shared: Arc<Shared>,
    outcome: Receiver<Arc<Outcome>>,
    writer: AbortHandle,
    tasks: JoinSet<()>,
}

impl Duties {
    /// Starts all tasks, beside those that are there already.
    pub(super) fn begin(
        args: &IngressArgs,
        client: kube::Client,
        shared: &Arc<Shared>,
        mut tasks: JoinSet<()>,
    ) -> Self {
        let state = Arc::new(State::default());
        let told = Sender::new(Arc::new(Outcome::default()));
        let outcome = told.subscribe();
        let here = locate(args, &client, &mut tasks);
        let (own_client, own_shared, own_state) = (client.clone(), Arc::clone(shared), Arc::clone(&state));
        tasks.spawn(async move { watch::run(own_client, &own_state, &own_shared.metrics).await });
        let (own_shared, own_state) = (Arc::clone(shared), Arc::clone(&state));
        tasks.spawn(async move { reload::run(&own_state, &own_shared, &told).await });
        let (own_state, own_outcome, file) = (Arc::clone(&state), outcome.clone(), args.resolv_conf.clone());
        tasks.spawn(async move { names::run(&file, &own_state, own_outcome).await });
        tasks.spawn(report::problems(client.clone(), args.pod_name.clone(), outcome.clone(), here.clone()));
        let (own_client, own_shared) = (client.clone(), Arc::clone(shared));
        let (own_state, own_outcome) = (Arc::clone(&state), outcome.clone());
        let writer = tasks.spawn(async move {
            report::status(own_client, &own_state, own_outcome, here, &own_shared.metrics).await;
        });
        let (namespace, shared) = (args.pod_namespace.clone(), Arc::clone(shared));
        Self { client, namespace, state, shared, outcome, writer, tasks }
    }

    /// Waits until a task ends: all are there for ever, so the first to end has failed.
    pub(super) async fn failed(&mut self) {
        self.tasks.join_next().await;
    }

    /// Stops telling, and takes back what was told if nobody serves any more.
    pub(super) async fn end(self) {
        self.writer.abort();
        if let Some(namespace) = &self.namespace {
            let outcome = Arc::clone(&self.outcome.borrow());
            let metrics = &self.shared.metrics;
            farewell::take_back(&self.client, namespace, &self.state, &outcome, metrics).await;
        }
    }
}

/// Follows where this role is reached.
fn locate(args: &IngressArgs, client: &kube::Client, tasks: &mut JoinSet<()>) -> Receiver<Place> {
    let fixed = Some(args.publish_address.clone()).filter(|addresses| !addresses.is_empty());
    let place = Sender::new(Place { speaks: fixed.is_some(), addresses: fixed.clone() });
    let here = place.subscribe();
    let client = client.clone();
    match (args.pod_name.clone(), args.pod_namespace.clone(), fixed) {
        (Some(pod), Some(namespace), None) => {
            tasks.spawn(async move { place::run(client, &namespace, &pod, &place).await });
        }
        // Whoever waits for news about the place waits for ever.
        _ => drop(tasks.spawn(async move {
            place.closed().await;
            std::future::pending().await
        })),
    }
    here
}
