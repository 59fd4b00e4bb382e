//! Follows the objects of the Gateway API while the cluster has these kinds.

use std::time::Duration;

use kube::Client;

use super::objects::{Gateway, GatewayClass, HttpRoute, ReferenceGrant};
use crate::ingress::{
    metrics::IngressMetrics,
    state::{Part, State},
    watch::{everything, versions},
};

/// How often is looked whether the kinds are there by now.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Never returns.
pub(crate) async fn run(client: &Client, state: &State, metrics: &IngressMetrics) {
    loop {
        if versions(client, "gateway.networking.k8s.io").await.is_ok_and(|all| all.iter().any(|one| one == "v1")) {
            tracing::info!("the cluster has the Gateway API");
            state.fill(Part::Gateway);
            // Each ends when its kind is gone.
            tokio::select! {
                () = everything::<GatewayClass, _>(client, state, metrics, |objects| &mut objects.gateway.classes) => {}
                () = everything::<Gateway, _>(client, state, metrics, |objects| &mut objects.gateway.gateways) => {}
                () = everything::<HttpRoute, _>(client, state, metrics, |objects| &mut objects.gateway.routes) => {}
                () = everything::<ReferenceGrant, _>(client, state, metrics, |objects| &mut objects.gateway.grants) => {}
            }
            state.change(|objects| objects.gateway = super::objects::GatewayObjects::default());
        }
        state.fill(Part::Gateway);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
