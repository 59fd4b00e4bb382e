//! The watches against an API server that is played by a function.

use std::{
    convert::Infallible,
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use hickory_proto::rr::{Name, RecordType};
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::dns::zone::{Outcome, Zone, ZoneConfig};

fn state() -> Arc<State> {
    let config = ZoneConfig {
        domain: Name::from_ascii("cluster.local.").unwrap(),
        ttl: 5,
        dns_service: ("kube-system".to_owned(), "kube-dns".to_owned()),
        local_networks: Vec::new(),
        hosts: Vec::new(),
    };
    Arc::new(State::new(Zone::new(config, 1), Arc::default()))
}

/// A client whose lists are answered by `answer` and whose watches stay silent.
fn client(answer: impl Fn(&str) -> Option<Value> + Clone + Send + 'static) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let uri = request.uri();
            if uri.query().is_some_and(|query| query.contains("watch=true")) {
                pending::<()>().await;
            }
            let (code, body) = match answer(uri.path()) {
                Some(body) => (StatusCode::OK, body),
                None => (StatusCode::NOT_FOUND, json!({"kind": "Status", "code": 404, "reason": "NotFound"})),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Client::new(service, "default")
}

fn list(items: Value) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})
}

fn group(version: &str) -> Value {
    let version = json!({"groupVersion": format!("discovery.k8s.io/{version}"), "version": version});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": "discovery.k8s.io", "versions": [version]})
}

fn slices() -> Value {
    list(json!([{
        "metadata": {"namespace": "default", "name": "pets-1", "labels": {"kubernetes.io/service-name": "pets"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": true}}],
    }]))
}

fn answer_with(path: &str, version: &str) -> Option<Value> {
    let slice_path = format!("/apis/discovery.k8s.io/{version}/endpointslices");
    Some(match path {
        "/apis/discovery.k8s.io" => group(version),
        "/api/v1/services" => {
            list(json!([{"metadata": {"namespace": "default", "name": "pets"}, "spec": {"clusterIP": "None"}}]))
        }
        "/api/v1/namespaces" => list(json!([{"metadata": {"name": "default"}}])),
        path if path == slice_path => slices(),
        _ => return None,
    })
}

/// Runs the watches until the zone is complete, and returns what is then known of the service.
async fn fill(client: Client) -> Outcome {
    let state = state();
    let watching = tokio::spawn(run(client, Arc::clone(&state)));
    while !state.is_complete() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watching.abort();
    let name = Name::from_ascii("pets.default.svc.cluster.local.").unwrap();
    state.read(|zone| zone.lookup(&name, RecordType::A))
}

#[tokio::test]
async fn the_zone_is_filled_from_servers_with_either_version_of_slices() {
    for version in ["v1beta1", "v1"] {
        let outcome = fill(client(move |path| answer_with(path, version))).await;
        assert!(matches!(&outcome, Outcome::Found { answers, .. } if answers.len() == 1), "{version}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_upgraded_meanwhile_is_asked_for_its_version_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let outcome = fill(client(move |path| match path {
        // The first answer is out of date by the time it is used.
        "/apis/discovery.k8s.io" if asked.fetch_add(1, Ordering::SeqCst) == 0 => Some(group("v1beta1")),
        path => answer_with(path, "v1"),
    }))
    .await;
    assert!(matches!(outcome, Outcome::Found { .. }));
}
