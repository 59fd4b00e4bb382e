use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{Resource, api::core::v1::Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{met::*, *};

fn object<K: DeserializeOwned + Resource>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// That second of the year 2026.
fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + second)
}

fn running_pod(ready: &str, started: &str) -> Pod {
    object(json!({
        "metadata": { "name": "p" },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": ready }],
            "containerStatuses": [{
                "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": { "running": { "startedAt": started } }
            }]
        }
    }))
}

#[test]
fn a_node_is_ready_when_its_kubelet_says_so_lately_enough() {
    let node = |status: &str| -> Node {
        object(json!({ "metadata": {}, "status": { "conditions": [
            { "type": "MemoryPressure", "status": "False" },
            { "type": "Ready", "status": status, "lastHeartbeatTime": "2026-01-01T00:00:10Z" }
        ] } }))
    };
    assert!(node_is_ready(&node("True"), Since::EVER));
    assert!(!node_is_ready(&node("False"), Since::EVER));
    assert!(!node_is_ready(&node("Unknown"), Since::EVER));
    assert!(!node_is_ready(&object(json!({ "metadata": {} })), Since::EVER));
    assert!(!node_is_ready(&node("True"), Since::new(at(11))));
    // Kubernetes cuts times to seconds, so the same second may be later.
    assert!(node_is_ready(&node("True"), Since::new(at(10) + Duration::from_millis(900))));
}

#[test]
fn pods_of_before_the_start_do_not_count() {
    let pod = running_pod("True", "2026-01-01T00:00:10Z");
    assert!(pod_is_settled(&pod, Since::EVER));
    assert!(pod_is_settled(&pod, Since::new(at(5))));
    assert!(!pod_is_settled(&pod, Since::new(at(20))));
    assert!(!pod_is_settled(&running_pod("False", "2026-01-01T00:00:10Z"), Since::EVER));
}

#[test]
fn all_pods_that_stay_must_be_ready_and_there_must_be_one() {
    let mut leaving = running_pod("False", "2026-01-01T00:00:10Z");
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let good = running_pod("True", "2026-01-01T00:00:10Z");
    let pods = |pods: &[&Pod]| -> BTreeMap<String, Pod> {
        pods.iter().enumerate().map(|(index, pod)| (index.to_string(), (*pod).clone())).collect()
    };
    assert!(!pods_are_ready(&pods(&[]), Since::EVER));
    assert!(!pods_are_ready(&pods(&[&leaving]), Since::EVER));
    assert!(pods_are_ready(&pods(&[&leaving, &good]), Since::EVER));
    let unready = running_pod("False", "2026-01-01T00:00:10Z");
    assert!(!pods_are_ready(&pods(&[&unready, &good]), Since::EVER));
}

#[test]
fn a_deployment_is_available_when_the_newest_pods_are() {
    let deployment = |observed: i64, updated: i32, available: i32| -> Deployment {
        object(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": 2, "selector": {}, "template": {} },
            "status": { "observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available }
        }))
    };
    assert!(deployment_is_available(&deployment(2, 2, 2)));
    assert!(!deployment_is_available(&deployment(1, 2, 2)));
    assert!(!deployment_is_available(&deployment(2, 1, 2)));
    assert!(!deployment_is_available(&deployment(2, 2, 1)));
}

#[test]
fn a_daemon_set_without_nodes_is_not_ready() {
    let set = |wanted: i32, ready: i32| -> DaemonSet {
        object(json!({
            "metadata": { "generation": 1 },
            "status": {
                "observedGeneration": 1, "desiredNumberScheduled": wanted, "numberReady": ready,
                "updatedNumberScheduled": wanted, "currentNumberScheduled": wanted, "numberMisscheduled": 0
            }
        }))
    };
    assert!(daemon_set_is_ready(&set(1, 1)));
    assert!(!daemon_set_is_ready(&set(2, 1)));
    assert!(!daemon_set_is_ready(&set(0, 0)));
}

#[test]
fn old_clusters_need_the_secret_of_the_account() {
    for (version, needs) in [("v1.20.2", true), ("v1.19.0-rc.1", true), ("v1.21.0", false), ("v1.37.1", false)] {
        assert_eq!(has_token_secrets(version), needs, "{version}");
    }
    let bare: ServiceAccount = object(json!({ "metadata": {} }));
    let full: ServiceAccount = object(json!({ "metadata": {}, "secrets": [{ "name": "default-token-x" }] }));
    assert!(!account_is_usable(&bare, true));
    assert!(account_is_usable(&full, true));
    assert!(account_is_usable(&bare, false));
}

#[test]
fn selectors_are_written_as_queries_take_them() {
    let selector: LabelSelector = serde_json::from_value(json!({
        "matchLabels": { "app": "web", "tier": "x" },
        "matchExpressions": [
            { "key": "env", "operator": "In", "values": ["a", "b"] },
            { "key": "old", "operator": "DoesNotExist" },
            { "key": "new", "operator": "Exists" }
        ]
    }))
    .unwrap();
    assert_eq!(selector_text(&selector), "app=web,tier=x,env in (a,b),!old,new");
}
