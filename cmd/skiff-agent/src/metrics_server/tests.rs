//! The role as a whole: a cluster on the loopback, made of one server that is API server and kubelet.

mod fake;

use http::StatusCode;
use serde_json::{Value, json};

use self::fake::World;

const BASE: &str = "/apis/metrics.k8s.io/v1beta1";

#[tokio::test]
async fn the_api_server_gets_measurements_for_whom_it_asks() {
    let world = World::start().await;
    let (code, nodes) = world.proxied(&format!("{BASE}/nodes")).await;
    assert_eq!(code, StatusCode::OK, "{nodes}");
    assert_eq!(nodes["kind"], "NodeMetricsList");
    assert_eq!(nodes["items"][0]["usage"], json!({"cpu": "250000000n", "memory": "2048Ki"}));
    let (_, pods) = world.proxied(&format!("{BASE}/namespaces/default/pods?labelSelector=app%3Dweb")).await;
    assert_eq!(pods["items"][0]["metadata"], json!({"name": "web", "namespace": "default", "labels": {"app": "web"}}));
    assert_eq!(pods["items"][0]["containers"][0]["usage"]["cpu"], "7000000n");
    let asked = world.requests();
    assert!(
        asked.iter().any(|path| path.contains("namespaces/default/pods") && path.contains("labelSelector=app%3Dweb"))
    );
    assert_eq!(asked.iter().filter(|path| path.starts_with("/stats/summary")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn one_object_is_found_or_is_not() {
    let world = World::start().await;
    let (code, pod) = world.proxied(&format!("{BASE}/namespaces/default/pods/web")).await;
    assert_eq!((code, &pod["kind"]), (StatusCode::OK, &json!("PodMetrics")));
    for absent in ["namespaces/default/pods/gone", "nodes/gone"] {
        let (code, status) = world.proxied(&format!("{BASE}/{absent}")).await;
        assert_eq!((code, &status["reason"]), (StatusCode::NOT_FOUND, &json!("NotFound")), "{status}");
        assert!(status["message"].as_str().unwrap().contains("gone"), "{status}");
    }
}

#[tokio::test]
async fn discovery_is_served() {
    let world = World::start().await;
    for (path, kind) in [("/apis", "APIGroupList"), ("/apis/metrics.k8s.io", "APIGroup"), (BASE, "APIResourceList")] {
        let (code, document) = world.proxied(path).await;
        assert_eq!((code, &document["kind"]), (StatusCode::OK, &json!(kind)));
    }
    assert_eq!(world.proxied("/openapi/v2").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_selector_that_makes_no_sense_is_explained_by_who_knows() {
    let world = World::start().await;
    let (code, status) = world.proxied(&format!("{BASE}/pods?labelSelector=%3D%3D")).await;
    assert_eq!((code, &status["message"]), (StatusCode::BAD_REQUEST, &json!("unable to parse requirement")));
}

#[tokio::test]
async fn a_selector_that_selects_nothing_is_answered_with_an_empty_list() {
    let world = World::start().await;
    let (code, pods) = world.proxied(&format!("{BASE}/pods?fieldSelector=status.phase%3DFailed")).await;
    assert_eq!((code, &pods["items"]), (StatusCode::OK, &json!([])), "{pods}");
}

#[tokio::test]
async fn others_need_a_token_that_may() {
    let world = World::start().await;
    let path = format!("{BASE}/nodes");
    assert_eq!(world.direct(&path, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.direct(&path, Some("nonsense")).await.0, StatusCode::UNAUTHORIZED);
    let (code, status) = world.direct(&path, Some("guest")).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(status["message"], format!("guest may not read {path}"));
    assert_eq!(world.direct(&path, Some("admin")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_stranger_who_claims_to_be_the_api_server_is_not_even_heard() {
    let world = World::start().await;
    assert!(world.as_stranger(&format!("{BASE}/nodes")).await.is_err());
}

#[tokio::test]
async fn a_kubelet_that_the_authority_does_not_know_is_not_believed() {
    let world = World::start_with(|world| world.kubelet_is_genuine = false).await;
    let (code, nodes) = world.proxied(&format!("{BASE}/nodes")).await;
    assert_eq!((code, &nodes["items"]), (StatusCode::OK, &Value::Array(Vec::new())));
    assert!(!world.has_measured());
}
