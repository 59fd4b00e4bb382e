//! Keeps this server's certificate in its APIService, so that the API server believes it.
//!
//! Each run has a certificate of its own, so there is nothing to keep between runs and nothing to steal.

use std::{sync::atomic::Ordering, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use std::sync::atomic::AtomicBool;

use crate::api::{Backoff, chain};

/// How often the entry is looked at.
const PERIOD: Duration = Duration::from_secs(30);
/// Who writes it.
const MANAGER: &str = "skiff-metrics-server";

/// Writes `certificate` (PEM) into the APIService `name` and keeps it there; `done` tells that it is.
/// Never returns.
pub(super) async fn keep(client: Client, name: String, certificate: String, done: &AtomicBool) {
    let api: Api<APIService> = Api::all(client);
    let mut backoff = Backoff::default();
    loop {
        match write(&api, &name, &certificate).await {
            Ok(changed) => {
                if changed {
                    tracing::info!(name, "registered");
                }
                done.store(true, Ordering::Relaxed);
                backoff = Backoff::default();
                tokio::time::sleep(PERIOD).await;
            }
            Err(error) => {
                tracing::warn!(name, error = %chain(&error), "cannot register");
                tokio::time::sleep(backoff.next().unwrap_or(PERIOD)).await;
            }
        }
    }
}

/// True if something had to be changed.
async fn write(api: &Api<APIService>, name: &str, certificate: &str) -> Result<bool, kube::Error> {
    let found = api.get(name).await?.spec.and_then(|spec| spec.ca_bundle);
    if found.is_some_and(|bundle| bundle.0 == certificate.as_bytes()) {
        return Ok(false);
    }
    let change = serde_json::json!({"spec": {"caBundle": STANDARD.encode(certificate), "insecureSkipTLSVerify": null}});
    api.patch(
        name,
        &PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() },
        &Patch::Merge(change),
    )
    .await?;
    Ok(true)
}
