//! Writes what was decided: the status of services, and events that tell why.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use k8s_openapi::api::core::v1::{ObjectReference, Service as Object};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::json;

use super::{
    ledger::Verdict,
    metrics::LoadBalancerMetrics,
    service::{Key, Service},
};
use crate::api::chain;

/// Who writes, in the words of the API's managed fields.
pub(super) const MANAGER: &str = "skiff-load-balancer";

/// What became of a verdict.
pub(super) enum Written {
    /// This is the service now; the watch tells it later.
    New(Box<Object>),
    /// Nothing was to be written, or the service changed meanwhile.
    Not,
    /// To be tried again.
    Failed,
}

/// Writes statuses and events.
pub(super) struct StatusWriter {
    client: Client,
    recorder: Recorder,
    metrics: Arc<LoadBalancerMetrics>,
    /// What each service was refused for, so that it is told once.
    refusals: BTreeMap<Key, String>,
}

impl StatusWriter {
    /// A writer on the node called `node`.
    pub(super) fn new(client: Client, node: String, metrics: Arc<LoadBalancerMetrics>) -> Self {
        let reporter = Reporter { controller: "skiff.dev/load-balancer".to_owned(), instance: Some(node) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, metrics, refusals: BTreeMap::new() }
    }

    /// Carries out the verdicts that ask for it.
    pub(super) async fn write(
        &mut self,
        services: &BTreeMap<Key, Service>,
        verdicts: &BTreeMap<Key, Verdict>,
    ) -> Vec<Written> {
        self.refusals.retain(|key, _| matches!(verdicts.get(key), Some(Verdict::Refuse(_))));
        let mut all = Vec::new();
        for (key, verdict) in verdicts {
            let Some(service) = services.get(key) else { continue };
            all.push(match verdict {
                Verdict::Give(address) => self.give(service, *address).await,
                Verdict::Clear => self.set(service, None).await,
                Verdict::Refuse(reason) => self.refuse(service, reason).await,
                Verdict::Keep(_) | Verdict::Leave => Written::Not,
            });
        }
        all
    }

    async fn give(&self, service: &Service, address: Ipv4Addr) -> Written {
        let written = self.set(service, Some(address)).await;
        if matches!(written, Written::New(_)) {
            tracing::info!(service = %service.key, %address, "address assigned");
            self.metrics.given.add();
            self.tell(service, EventType::Normal, "AddressAssigned", format!("the service answers at {address}")).await;
        }
        written
    }

    async fn refuse(&mut self, service: &Service, reason: &str) -> Written {
        if self.refusals.get(&service.key).is_none_or(|told| told != reason) {
            tracing::warn!(service = %service.key, reason, "no address");
            self.metrics.refused.add();
            self.tell(service, EventType::Warning, "NoAddress", reason.to_owned()).await;
            self.refusals.insert(service.key.clone(), reason.to_owned());
        }
        if service.has.is_empty() { Written::Not } else { self.set(service, None).await }
    }

    /// Writes the status, unless the service has changed since it was read: the change brings it back here.
    async fn set(&self, service: &Service, address: Option<Ipv4Addr>) -> Written {
        let ingress = address.map(|address| json!([{ "ip": address }]));
        let patch = json!({
            "metadata": { "resourceVersion": service.version },
            "status": { "loadBalancer": { "ingress": ingress } }
        });
        let api: Api<Object> = Api::namespaced(self.client.clone(), &service.key.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(&service.key.name, &params, &Patch::Merge(patch)).await {
            Ok(object) => Written::New(Box::new(object)),
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Written::Not,
            Err(error) => {
                self.metrics.write_failures.add();
                tracing::warn!(service = %service.key, error = %chain(&error), "cannot write the status");
                Written::Failed
            }
        }
    }

    /// An event is a courtesy: it is not tried again.
    async fn tell(&self, service: &Service, type_: EventType, reason: &str, note: String) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(service.key.namespace.clone()),
            name: Some(service.key.name.clone()),
            uid: Some(service.uid.clone()),
            ..ObjectReference::default()
        };
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: "Assign".to_owned(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            tracing::warn!(error = %chain(&error), reason, "cannot report an event");
        }
    }
}
