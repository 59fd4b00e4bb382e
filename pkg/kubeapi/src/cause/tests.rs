use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde_json::{Value, json};

use super::*;

/// A pod of namespace `n` that is not ready, with one container in that state.
fn pod(name: &str, container: Value) -> Pod {
    let mut status = json!({
        "name": "main", "image": "reg.example/app:1", "imageID": "", "ready": false, "restartCount": 0
    });
    merge(&mut status, container);
    let value = json!({
        "metadata": { "name": name, "namespace": "n" },
        "status": { "phase": "Pending", "containerStatuses": [status] }
    });
    serde_json::from_value(value).unwrap()
}

fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    into.as_object_mut().unwrap().extend(more);
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "state": { "waiting": { "reason": reason, "message": message } } })
}

fn event(kind: &str, name: &str, reason: &str, message: &str, second: u8) -> Event {
    serde_json::from_value(json!({
        "metadata": {},
        "involvedObject": { "kind": kind, "name": name, "namespace": "n" },
        "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z")
    }))
    .unwrap()
}

fn evidence(pods: Vec<Pod>, events: Vec<Event>) -> Evidence {
    Evidence { pods, events, ..Evidence::default() }
}

fn told(evidence: &Evidence) -> String {
    of_pods(evidence, None).unwrap().to_string()
}

#[test]
fn a_failed_pull_is_told_with_the_runtimes_words() {
    let pods = vec![pod("a", waiting("ErrImagePull", "rpc error: no such host\n"))];
    assert_eq!(
        told(&evidence(pods, vec![])),
        "pod n/a: image reg.example/app:1 cannot be pulled: rpc error: no such host"
    );
}

#[test]
fn a_back_off_is_explained_by_the_pull_that_failed() {
    let pods = vec![pod("a", waiting("ImagePullBackOff", "Back-off pulling image"))];
    let events = vec![
        event("Pod", "a", "Failed", "Failed to pull image: old", 1),
        event("Pod", "a", "Failed", "Failed to pull image: no such host", 2),
        event("Pod", "a", "Failed", "Error: ImagePullBackOff", 3),
        event("Pod", "b", "Failed", "Failed to pull image: of another", 4),
    ];
    assert!(told(&evidence(pods, events)).ends_with("cannot be pulled: Failed to pull image: no such host"));
}

#[test]
fn a_crash_is_told_with_its_status_and_last_words() {
    let state = json!({
        "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
        "lastState": { "terminated": { "exitCode": 2, "reason": "Error" } }
    });
    let pods = vec![pod("a", state)];
    let wanted = logs_wanted(&pods);
    assert_eq!(wanted, [LogWanted { pod: "a".into(), container: "main".into(), previous: true }]);
    let mut evidence = evidence(pods, vec![]);
    evidence.logs.insert(("a".into(), "main".into()), vec!["loading".into(), "panic: no config".into()]);
    let expected = "pod n/a: container main exited with status 2 (3 restarts); it printed: loading | panic: no config";
    assert_eq!(told(&evidence), expected);
}

#[test]
fn memory_and_signals_are_named() {
    let oom = json!({ "state": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } });
    assert!(told(&evidence(vec![pod("a", oom)], vec![])).contains("too much memory"));
    let killed = json!({ "restartCount": 1, "state": { "terminated": { "exitCode": 139, "signal": 11 } } });
    assert!(told(&evidence(vec![pod("a", killed)], vec![])).contains("killed by signal 11 (1 restart)"));
}

#[test]
fn a_container_that_ended_just_now_has_its_log_as_the_current_one() {
    let state = json!({ "restartCount": 1, "state": { "terminated": { "exitCode": 1 } } });
    assert!(!logs_wanted(&[pod("a", state)])[0].previous);
}

#[test]
fn a_bad_container_configuration_is_told() {
    let pods = vec![pod("a", waiting("CreateContainerConfigError", "secret \"s\" not found"))];
    assert_eq!(told(&evidence(pods, vec![])), "pod n/a: container main cannot start: secret \"s\" not found");
}

#[test]
fn a_pod_without_a_place_is_told_with_the_schedulers_words() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "a", "namespace": "n" },
        "status": { "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu." }
        ] }
    }))
    .unwrap();
    assert_eq!(told(&evidence(vec![pod], vec![])), "pod n/a has no place: 0/1 nodes: Insufficient cpu.");
}

#[test]
fn a_pod_that_cannot_be_set_up_is_told_by_its_events() {
    let pods = vec![pod("a", waiting("ContainerCreating", ""))];
    let events = vec![
        event("Pod", "a", "FailedMount", "MountVolume.SetUp failed: configmap \"c\" not found", 5),
        event("Pod", "a", "Scheduled", "fine", 6),
    ];
    assert_eq!(
        told(&evidence(pods, events)),
        "pod n/a cannot be set up: MountVolume.SetUp failed: configmap \"c\" not found"
    );
}

#[test]
fn a_failing_probe_is_told() {
    let running = json!({ "state": { "running": {} } });
    let pods = vec![pod("a", running.clone())];
    let events = vec![event("Pod", "a", "Unhealthy", "Readiness probe failed: HTTP 503", 1)];
    assert_eq!(told(&evidence(pods, events)), "pod n/a runs but is not ready: Readiness probe failed: HTTP 503");
    let pods = vec![pod("a", running)];
    assert!(told(&evidence(pods, vec![])).contains("container main does not say that it is ready"));
}

#[test]
fn the_last_warning_is_better_than_nothing() {
    let pods = vec![pod("a", waiting("PodInitializing", ""))];
    let events = vec![event("Pod", "a", "Odd", "older", 1), event("Pod", "a", "Odd", "newer", 2)];
    assert_eq!(told(&evidence(pods.clone(), events)), "Pod n/a: newer");
    assert_eq!(told(&evidence(pods, vec![])), "pod n/a is pending");
}

#[test]
fn the_worst_of_several_pods_is_told() {
    let pods = vec![
        pod("a", waiting("PodInitializing", "")),
        pod("b", waiting("CreateContainerError", "x")),
        pod("c", waiting("ErrImagePull", "y")),
    ];
    assert!(told(&evidence(pods, vec![])).contains("pod n/c"));
}

#[test]
fn good_and_leaving_pods_are_no_cause() {
    let mut good = pod("a", json!({ "state": { "running": {} }, "ready": true }));
    good.status.as_mut().unwrap().conditions =
        serde_json::from_value(json!([{ "type": "Ready", "status": "True" }])).unwrap();
    let mut leaving = pod("b", waiting("ErrImagePull", "y"));
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let mut done = pod("c", json!({}));
    done.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    assert_eq!(of_pods(&evidence(vec![good, leaving, done], vec![]), None), None);
}

#[test]
fn controllers_that_cannot_make_pods_are_told() {
    let quota = || event("ReplicaSet", "web-5d", "FailedCreate", "pods \"x\" is forbidden: exceeded quota", 1);
    let found = of_pods(&evidence(vec![], vec![quota()]), Some("web")).unwrap();
    assert_eq!(found.to_string(), "ReplicaSet web-5d: pods \"x\" is forbidden: exceeded quota");
    // Of another workload, and overcome.
    assert_eq!(of_pods(&evidence(vec![], vec![quota()]), Some("we")), None);
    let pending = pod("web-5d-1", waiting("ContainerCreating", ""));
    let found = of_pods(&evidence(vec![pending], vec![quota()]), Some("web")).unwrap();
    assert!(matches!(found, Cause::Waiting { .. }), "{found:?}");
}

#[test]
fn webhooks_that_keep_pods_out_are_told() {
    let message = "Internal error occurred: failed calling webhook \"w.example\": connection refused";
    let failed = event("DaemonSet", "agent", "FailedCreate", message, 1);
    let found = of_pods(&evidence(vec![], vec![failed]), Some("agent")).unwrap();
    assert!(matches!(&found, Cause::Webhook { object, .. } if object == "DaemonSet agent"), "{found:?}");
}

#[test]
fn a_node_explains_itself() {
    let node = |conditions: Value| -> Node {
        let value = json!({ "metadata": { "name": "dev" }, "status": { "conditions": conditions } });
        serde_json::from_value(value).unwrap()
    };
    let unready = node(json!([{ "type": "Ready", "status": "False", "message": "cni config uninitialized" }]));
    assert_eq!(of_node(&unready).to_string(), "node dev: cni config uninitialized");
    assert_eq!(of_node(&node(json!([]))).to_string(), "node dev: its kubelet has not reported yet");
    let stale = node(json!([{ "type": "Ready", "status": "True", "message": "kubelet is posting ready status" }]));
    assert_eq!(of_node(&stale).to_string(), "node dev: its kubelet has not reported since the start");
}
