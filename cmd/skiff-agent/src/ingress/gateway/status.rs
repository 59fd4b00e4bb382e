//! What is told about gateways and routes, in their status.

use std::{collections::HashMap, net::IpAddr};

use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};

use k8s_openapi::NamespaceResourceScope;
use serde_json::{Value, json};

use super::objects::{Gateway, GatewayClass, HttpRoute, ParentRef};
use crate::{
    api::chain,
    ingress::{
        compile::CONTROLLER,
        metrics::IngressMetrics,
        objects::{Id, Objects},
    },
};

/// Something that holds or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    kind: &'static str,
    holds: bool,
    reason: String,
    message: String,
}

impl Condition {
    /// It holds.
    pub(super) fn yes(kind: &'static str, reason: &str) -> Self {
        // Never empty: some builds of old API servers take an empty text for none at all, and refuse it.
        Self { kind, holds: true, reason: reason.to_owned(), message: "all is well".to_owned() }
    }

    /// It does not.
    pub(super) fn no(kind: &'static str, reason: &str, message: &str) -> Self {
        Self { kind, holds: false, reason: reason.to_owned(), message: message.to_owned() }
    }

    /// In the API's form. The time is that of the last change, which is in `before` if nothing has changed.
    fn json(&self, generation: i64, before: &Value) -> Value {
        let status = if self.holds { "True" } else { "False" };
        let known = before.as_array().into_iter().flatten().find(|one| one["type"] == self.kind);
        let since = known.filter(|one| one["status"] == status).and_then(|one| one["lastTransitionTime"].as_str());
        let since = since.map_or_else(|| format!("{:.0}", jiff::Timestamp::now()), str::to_owned);
        json!({
            "type": self.kind, "status": status, "reason": self.reason, "message": self.message,
            "observedGeneration": generation, "lastTransitionTime": since,
        })
    }
}

/// What is told about a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerReport {
    /// Its name.
    pub(super) name: String,
    /// How many routes belong to it.
    pub(super) attached: usize,
    /// What holds.
    pub(super) conditions: Vec<Condition>,
}

impl ListenerReport {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attached: 0, conditions: Vec::new() }
    }
}

/// What is told about a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayReport {
    /// Its listeners.
    pub(super) listeners: Vec<ListenerReport>,
}

/// What is told about a route and one of its parents.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParentReport {
    /// The parent.
    pub(super) parent: ParentRef,
    /// What holds.
    pub(super) conditions: Vec<Condition>,
}

/// All that is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    /// About gateways.
    pub(crate) gateways: HashMap<Id, GatewayReport>,
    /// About routes.
    pub(crate) routes: Vec<(Id, Vec<ParentReport>)>,
}

/// A status that has to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Of a class.
    Class(Id, Value),
    /// Of a gateway.
    Gateway(Id, Value),
    /// Of a route.
    Route(Id, Value),
}

/// Whether a route's status tells about gateways of ours.
pub(super) fn has_ours(status: &Value) -> bool {
    status["parents"].as_array().into_iter().flatten().any(|parent| parent["controllerName"] == CONTROLLER)
}

/// What has to be written so that all objects say what the reports say.
pub(crate) fn changes(objects: &Objects, reports: &Reports, addresses: &[IpAddr]) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, class) in &objects.gateway.classes {
        if is_ours(class) {
            let accepted = Condition::yes("Accepted", "Accepted");
            let number = class.metadata.generation.unwrap_or_default();
            let wanted = json!({"conditions": [accepted.json(number, &class.status["conditions"])]});
            changes.extend(
                (class.status["conditions"] != wanted["conditions"]).then(|| Change::Class(id.clone(), wanted)),
            );
        }
    }
    for (id, gateway) in &objects.gateway.gateways {
        let Some(report) = reports.gateways.get(id) else { continue };
        let wanted = gateway_status(gateway, report, addresses);
        changes.extend((gateway.status != wanted).then(|| Change::Gateway(id.clone(), wanted)));
    }
    for (id, parents) in &reports.routes {
        let Some(route) = objects.gateway.routes.get(id) else { continue };
        let wanted = route_status(route, parents);
        changes.extend((route.status != wanted).then(|| Change::Route(id.clone(), wanted)));
    }
    changes
}

/// What has to be written when nobody serves any more: gateways are as they were made, and routes know of none of ours.
pub(crate) fn nobody(objects: &Objects) -> Vec<Change> {
    let all = &objects.gateway;
    let ours = |class: &str| all.classes.get(&Id::new("", class)).is_some_and(is_ours);
    let waiting = |kinds: &[&str]| -> Vec<Value> { kinds.iter().map(|kind| waiting(kind)).collect() };
    let classes = all.classes.iter().filter(|(_, class)| is_ours(class));
    let classes = classes.map(|(id, _)| Change::Class(id.clone(), json!({"conditions": waiting(&["Accepted"])})));
    let gateways = all.gateways.iter().filter(|(_, gateway)| ours(&gateway.spec.gateway_class_name));
    let empty = json!({"addresses": [], "listeners": [], "conditions": waiting(&["Accepted", "Programmed"])});
    let gateways = gateways.map(|(id, _)| Change::Gateway(id.clone(), empty.clone()));
    let routes = all.routes.iter().filter(|(_, route)| has_ours(&route.status));
    let routes = routes.map(|(id, route)| Change::Route(id.clone(), route_status(route, &[])));
    classes.chain(gateways).chain(routes).collect()
}

/// Whether a class names this controller.
pub(super) fn is_ours(class: &GatewayClass) -> bool {
    class.spec.controller_name == CONTROLLER
}

/// What the Gateway API says before any controller has said something.
fn waiting(kind: &str) -> Value {
    json!({
        "type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    })
}

fn gateway_status(gateway: &Gateway, report: &GatewayReport, addresses: &[IpAddr]) -> Value {
    let generation = gateway.metadata.generation.unwrap_or_default();
    let before = &gateway.status;
    let works = report
        .listeners
        .iter()
        .any(|listener| listener.conditions.iter().any(|one| one.kind == "Accepted" && one.holds));
    let own = match works {
        true => [Condition::yes("Accepted", "Accepted"), Condition::yes("Programmed", "Programmed")],
        false => {
            ["Accepted", "Programmed"].map(|kind| Condition::no(kind, "ListenersNotValid", "no listener can be served"))
        }
    };
    let listeners: Vec<Value> = report
        .listeners
        .iter()
        .map(|listener| {
            let old =
                before["listeners"].as_array().into_iter().flatten().find(|one| one["name"] == listener.name.as_str());
            let old = old.map_or(&Value::Null, |old| &old["conditions"]);
            json!({
                "name": listener.name,
                "attachedRoutes": listener.attached,
                "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
                "conditions": listener.conditions.iter().map(|one| one.json(generation, old)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "addresses": addresses.iter().map(|ip| json!({"type": "IPAddress", "value": ip.to_string()})).collect::<Vec<_>>(),
        "conditions": own.iter().map(|one| one.json(generation, &before["conditions"])).collect::<Vec<_>>(),
        "listeners": listeners,
    })
}

fn route_status(route: &HttpRoute, parents: &[ParentReport]) -> Value {
    let generation = route.metadata.generation.unwrap_or_default();
    let before = route.status["parents"].as_array().cloned().unwrap_or_default();
    // What other controllers tell about their gateways is theirs.
    let (old, others): (Vec<Value>, Vec<Value>) =
        before.into_iter().partition(|one| one["controllerName"] == CONTROLLER);
    let own = parents.iter().map(|report| {
        let parent = json!(report.parent);
        let known = old.iter().find(|one| {
            one["parentRef"]["name"] == parent["name"] && one["parentRef"]["sectionName"] == parent["sectionName"]
        });
        let known = known.map_or(&Value::Null, |one| &one["conditions"]);
        // The server fills in the defaults of group and kind.
        let reference = old
            .iter()
            .map(|one| &one["parentRef"])
            .find(|one| same_parent(one, &report.parent))
            .cloned()
            .unwrap_or(parent);
        json!({
            "parentRef": reference,
            "controllerName": CONTROLLER,
            "conditions": report.conditions.iter().map(|one| one.json(generation, known)).collect::<Vec<_>>(),
        })
    });
    json!({"parents": others.into_iter().chain(own).collect::<Vec<_>>()})
}

fn same_parent(told: &Value, parent: &ParentRef) -> bool {
    let text = |name: &str| told[name].as_str();
    text("name") == Some(parent.name.as_str())
        && text("namespace") == parent.namespace.as_deref()
        && text("sectionName") == parent.section_name.as_deref()
        && told["port"].as_u64() == parent.port.map(u64::from)
}

/// Writes what has to be written.
pub(crate) async fn write(client: &Client, changes: &[Change], metrics: &IngressMetrics) -> bool {
    let mut all_well = true;
    for change in changes {
        let written = match change {
            Change::Class(id, status) => patch(Api::<GatewayClass>::all(client.clone()), id, status).await,
            Change::Gateway(id, status) => patch(namespaced::<Gateway>(client, id), id, status).await,
            Change::Route(id, status) => patch(namespaced::<HttpRoute>(client, id), id, status).await,
        };
        if let Err(error) = written {
            // Who is deleted meanwhile needs no status.
            all_well &= matches!(&error, kube::Error::Api(status) if status.code == 404);
            metrics.status_errors.add();
            tracing::warn!(error = %chain(&error), "cannot write the status of the Gateway API");
        }
    }
    all_well
}

fn namespaced<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(client: &Client, id: &Id) -> Api<K> {
    Api::namespaced(client.clone(), &id.namespace)
}

async fn patch<K>(api: Api<K>, id: &Id, status: &Value) -> Result<(), kube::Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.map(drop)
}
