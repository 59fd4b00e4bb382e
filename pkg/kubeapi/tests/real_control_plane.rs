//! The client against a real control plane.
//!
//! Needs Kubernetes' programs and etcd on this host, so it runs only when asked for:
//! `SKIFF_TEST_KUBERNETES=<folder> SKIFF_TEST_ETCD=<program> cargo test -p skiff-kubeapi -- --ignored`.

mod bare;

use std::{error::Error, time::Duration};

use bare::ControlPlane;
use serde_json::{Value, json};
use skiff_kubeapi::{Cause, Client, Condition, KubeError};

const PATIENCE: Duration = Duration::from_secs(90);
/// For waits that shall end in vain.
const SHORT: Duration = Duration::from_secs(4);

/// A custom kind and one of it, a service without protocols, octals, and workloads, in a bad order.
const MANIFESTS: &str = r#"
apiVersion: example.com/v1
kind: Widget
metadata: {name: one, namespace: demo}
spec: {size: 3}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      priorityClassName: high
      serviceAccountName: web
      containers:
      - name: web
        image: example.invalid/web:1
        ports: [{containerPort: 80}]
        resources: {requests: {cpu: 0.1}}
        volumeMounts: [{name: files, mountPath: /files}]
      volumes: [{name: files, configMap: {name: files, defaultMode: 0644}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: demo}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      serviceAccountName: absent
      containers: [{name: agent, image: "example.invalid/agent:1"}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: files, namespace: demo}
immutable: no
data: {a: "yes"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: demo}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: demo}
"#;

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: ghost}}";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SKIFF_TEST_KUBERNETES and SKIFF_TEST_ETCD"]
async fn a_cluster_is_born_applied_to_and_explained() {
    let mut plane = ControlPlane::prepare();
    let client = Client::new(&plane.access).unwrap();
    let absent = client.wait_ready(Duration::from_millis(200)).await.unwrap_err();
    assert!(chain(&absent).contains("refused"), "{}", chain(&absent));

    plane.start_api_server();
    client.wait_ready(PATIENCE).await.unwrap();
    client.readyz(SHORT).await.unwrap();
    assert!(client.server_version().await.unwrap().starts_with("v1."));
    foreign_certificates_are_refused_at_once(&plane).await;
    // No controllers yet: nobody makes the account.
    let account = client.wait(&Condition::DefaultServiceAccount, SHORT).await.unwrap_err();
    assert!(chain(&account).contains("account"), "{}", chain(&account));

    plane.start_controllers();
    client.apply(MANIFESTS, PATIENCE).await.unwrap();
    client.apply(MANIFESTS, PATIENCE).await.unwrap();
    client.wait(&Condition::DefaultServiceAccount, PATIENCE).await.unwrap();
    refusals_are_told_in_the_servers_words(&client).await;
    workloads_without_a_node_are_explained(&client).await;
    a_node_gets_its_pod_addresses_once(&client).await;
    pods_that_fail_are_explained(&client, &plane).await;

    client.delete(MANIFESTS, PATIENCE).await.unwrap();
    client.delete(MANIFESTS, PATIENCE).await.unwrap();
}

/// An error with all its causes.
fn chain(error: &KubeError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The cause of a wait that ended in vain.
fn cause(error: KubeError) -> Cause {
    match error {
        KubeError::NotInTime { cause: Some(cause), .. } => *cause,
        other => panic!("{}", chain(&other)),
    }
}

async fn foreign_certificates_are_refused_at_once(plane: &ControlPlane) {
    let mut access = plane.access.clone();
    access.ca = ControlPlane::prepare().access.ca.clone();
    let error = Client::new(&access).unwrap().wait_ready(PATIENCE).await.unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
}

async fn refusals_are_told_in_the_servers_words(client: &Client) {
    let wrong = "{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: [{port: 99999}]}}";
    let error = client.apply(wrong, PATIENCE).await.unwrap_err();
    assert!(chain(&error).contains("Service bad was refused") && chain(&error).contains("65535"), "{}", chain(&error));
    let unknown = "{apiVersion: nowhere.example/v1, kind: Thing, metadata: {name: t}}";
    let error = client.apply(unknown, Duration::from_secs(1)).await.unwrap_err();
    assert!(chain(&error).contains("Thing"), "{}", chain(&error));
    client.delete(unknown, PATIENCE).await.unwrap();
}

async fn workloads_without_a_node_are_explained(client: &Client) {
    let web = Condition::Deployment { namespace: "demo".to_owned(), name: "web".to_owned() };
    let found = cause(client.wait(&web, SHORT).await.unwrap_err());
    assert!(matches!(&found, Cause::Unschedulable { message, .. } if message.contains("no nodes")), "{found:?}");
    let agent = Condition::DaemonSet { namespace: "demo".to_owned(), name: "agent".to_owned() };
    client.wait(&agent, SHORT).await.unwrap_err();
    let absent = Condition::Deployment { namespace: "demo".to_owned(), name: "nothing".to_owned() };
    let found = cause(client.wait(&absent, Duration::from_secs(1)).await.unwrap_err());
    assert!(matches!(found, Cause::Absent { .. }), "{found:?}");
    let error = client.run_in_pod("demo", "app=web", &["true"], Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, KubeError::NotInTime { .. }), "{}", chain(&error));
}

async fn a_node_gets_its_pod_addresses_once(client: &Client) {
    let (client_too, cidrs) = (client.clone(), ["10.244.0.0/24".parse().unwrap()]);
    let assigning = tokio::spawn(async move { client_too.assign_pod_cidr("ghost", &cidrs, PATIENCE).await });
    client.apply(NODE, PATIENCE).await.unwrap();
    assigning.await.unwrap().unwrap();
    client.assign_pod_cidr("ghost", &cidrs, PATIENCE).await.unwrap();
    let error = client.assign_pod_cidr("ghost", &["10.244.1.0/24".parse().unwrap()], PATIENCE).await.unwrap_err();
    assert!(matches!(error, KubeError::PodCidrTaken { .. }), "{}", chain(&error));
    let nodes = client.nodes().await.unwrap();
    assert_eq!((nodes[0].name.as_str(), nodes[0].ready), ("ghost", false));
    let found = cause(client.wait(&Condition::NodeReady("ghost".to_owned()), SHORT).await.unwrap_err());
    assert!(matches!(found, Cause::Node { .. }), "{found:?}");
}

/// Plays the kubelet: nobody else would.
async fn pods_that_fail_are_explained(client: &Client, plane: &ControlPlane) {
    let kubelet = Kubelet::new(plane).await;
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9"},
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "9"}});
    kubelet.set_status("/api/v1/nodes/ghost", &ready).await;
    client.wait(&Condition::NodeReady("ghost".to_owned()), PATIENCE).await.unwrap();
    let agent = Condition::DaemonSet { namespace: "demo".to_owned(), name: "agent".to_owned() };
    let found = cause(client.wait(&agent, Duration::from_secs(8)).await.unwrap_err());
    let told = |text: &str| text.contains("serviceaccount \"absent\" not found");
    assert!(matches!(&found, Cause::NotCreated { message, .. } if told(message)), "{found:?}");

    let pod = kubelet.first_pod("demo", "app=web").await;
    let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "no such host"}});
    kubelet.set_status(&pod, &container_status(&waiting)).await;
    let web = Condition::Deployment { namespace: "demo".to_owned(), name: "web".to_owned() };
    let found = cause(client.wait(&web, SHORT).await.unwrap_err());
    assert!(matches!(&found, Cause::Image { message, .. } if message == "no such host"), "{found:?}");
    let ended = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
    kubelet.set_status(&pod, &container_status(&ended)).await;
    let found = cause(client.wait(&web, SHORT).await.unwrap_err());
    assert!(matches!(&found, Cause::Crash { ending, .. } if ending.contains("status 3")), "{found:?}");

    let available = client.clone();
    let waiting = tokio::spawn(async move { available.wait(&web, PATIENCE).await });
    let mut status = container_status(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}));
    status["containerStatuses"][0]["ready"] = json!(true);
    status["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    kubelet.set_status(&pod, &status).await;
    waiting.await.unwrap().unwrap();
}

fn container_status(state: &Value) -> Value {
    let container = json!({"name": "web", "image": "example.invalid/web:1", "imageID": "", "ready": false,
        "restartCount": 0, "state": state});
    json!({"phase": "Running", "containerStatuses": [container]})
}

/// Writes the parts of objects that only a kubelet writes.
struct Kubelet(kube::Client);

impl Kubelet {
    async fn new(plane: &ControlPlane) -> Self {
        let file = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
        Self(kube::Client::try_from(config).unwrap())
    }

    async fn set_status(&self, path: &str, status: &Value) {
        let body = serde_json::to_vec(&json!({ "status": status })).unwrap();
        let request = http::Request::patch(format!("{path}/status"))
            .header("content-type", "application/merge-patch+json")
            .body(body);
        self.0.request::<Value>(request.unwrap()).await.unwrap();
    }

    /// The path of the first pod that a label selects.
    async fn first_pod(&self, namespace: &str, label: &str) -> String {
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let label = label.replace('=', "%3D");
        let request = http::Request::get(format!("{pods}?labelSelector={label}")).body(Vec::new());
        let list = self.0.request::<Value>(request.unwrap()).await.unwrap();
        format!("{pods}/{}", list["items"][0]["metadata"]["name"].as_str().unwrap())
    }
}
