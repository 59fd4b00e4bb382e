//! Follows the objects of the Gateway API while the cluster has these kinds.

use std::time::Duration;

use kube::Client;

use super::objects::{GROUP, Gateway, GatewayClass, GatewayObjects, HttpRoute, ReferenceGrant};
use crate::{
    api::objects::Namespace,
    ingress::{
        metrics::IngressMetrics,
        state::{Part, State},
        watch::{everything, versions},
    },
};

/// How often is looked whether the kinds are there by now.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Never returns.
pub(crate) async fn run(client: &Client, state: &State, metrics: &IngressMetrics) {
    loop {
        if versions(client, GROUP).await.is_ok_and(|all| all.iter().any(|one| one == "v1")) {
            tracing::info!("the cluster has the Gateway API");
            follow(client, state, metrics).await;
            state.change(|objects| objects.gateway = GatewayObjects::default());
        }
        Part::GATEWAY.into_iter().for_each(|part| state.fill(part));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns when one of the kinds that cannot be done without is gone.
async fn follow(client: &Client, state: &State, metrics: &IngressMetrics) {
    let grants = async {
        // Without this kind nobody has leave to refer to anything, and the rest works.
        loop {
            everything::<ReferenceGrant, _>(client, state, metrics, Part::Grants, |all| &mut all.gateway.grants).await;
            state.fill(Part::Grants);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        () = everything::<GatewayClass, _>(client, state, metrics, Part::GatewayClasses, |all| &mut all.gateway.classes) => {}
        () = everything::<Gateway, _>(client, state, metrics, Part::Gateways, |all| &mut all.gateway.gateways) => {}
        () = everything::<HttpRoute, _>(client, state, metrics, Part::Routes, |all| &mut all.gateway.routes) => {}
        () = everything::<Namespace, _>(client, state, metrics, Part::Namespaces, |all| &mut all.gateway.namespaces) => {}
        () = grants => {}
    }
}
