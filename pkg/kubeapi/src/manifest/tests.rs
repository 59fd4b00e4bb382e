use serde_json::json;

use super::*;
use crate::KubeError;

#[test]
fn yaml_is_read_like_go_programs_read_it() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nimmutable: yes\nmode: 0644\nquoted: \"0644\"\n";
    let body = &read(text).unwrap()[0].body;
    assert_eq!(body["immutable"], json!(true));
    assert_eq!(body["mode"], json!(420));
    assert_eq!(body["quoted"], json!("0644"));
}

#[test]
fn empty_documents_are_skipped_and_lists_taken_apart() {
    let text = "# nothing\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: \
                {name: a, namespace: x}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: x}}\n---\n";
    let titles: Vec<_> = read(text).unwrap().iter().map(Manifest::title).collect();
    assert_eq!(titles, ["Secret x/a", "Namespace x"]);
    assert!(read("").unwrap().is_empty());
}

#[test]
fn big_bundles_are_read() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n".repeat(3000);
    assert_eq!(read(&text).unwrap().len(), 3000);
}

#[test]
fn broken_yaml_is_named_by_its_line() {
    let error = read("apiVersion: v1\nkind: [\n").unwrap_err();
    assert!(matches!(&error, KubeError::Manifest { place, .. } if place.starts_with("line ")), "{error}");
}

#[test]
fn incomplete_objects_are_named() {
    let error = read("apiVersion: v1\nmetadata: {name: a}\n").unwrap_err();
    assert_eq!(error.to_string(), "manifest an object a: it has no `kind`");
    let error = read("apiVersion: v1\nkind: Pod\n").unwrap_err();
    assert_eq!(error.to_string(), "manifest Pod without a name: it has no `metadata.name`");
    assert!(read("just text\n").is_err());
}

#[test]
fn paths_follow_group_and_namespace() {
    let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Namespace, \
                metadata: {name: b}}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: c, \
                namespace: x}}\n";
    let paths: Vec<_> = read(text).unwrap().iter().map(|it| it.path(&it.place().unwrap())).collect();
    assert_eq!(
        paths,
        [
            "/apis/apps/v1/namespaces/default/deployments",
            "/api/v1/namespaces",
            "/apis/networking.k8s.io/v1/namespaces/x/networkpolicies"
        ]
    );
}

#[test]
fn objects_come_after_what_they_need() {
    let order = [
        ("", "Namespace"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("", "ConfigMap"),
        ("apps", "DaemonSet"),
        ("example.com", "Widget"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ];
    let ranks: Vec<_> = order.iter().map(|(group, kind)| Rank::of(group, kind)).collect();
    assert!(ranks.is_sorted_by(|one, other| one < other), "{ranks:?}");
    // A claim gets its class when it is created, so the class must be there.
    assert!(Rank::of("storage.k8s.io", "StorageClass") < Rank::of("", "PersistentVolumeClaim"));
    // The controller deletes a token secret whose account is absent.
    assert!(Rank::of("", "ServiceAccount") < Rank::of("", "Secret"));
}

#[test]
fn unknown_kinds_have_no_known_place() {
    let widget = read("{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}").unwrap();
    assert_eq!(widget[0].place(), None);
    assert_eq!(widget[0].rank(), Rank::Rest);
}

#[test]
fn ports_get_a_protocol_and_quantities_become_text() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 53, protocol: UDP}, {port: 80}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          initContainers: [{name: i, ports: [{containerPort: 1}]}]
          containers: [{name: m, resources: {limits: {cpu: 1, memory: 10Mi}, requests: {cpu: 0.5}}}]
";
    let read = read(text).unwrap();
    assert_eq!(
        read[0].body["spec"]["ports"],
        json!([{"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}])
    );
    let pod = &read[1].body["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][0]["ports"][0]["protocol"], json!("TCP"));
    assert_eq!(
        pod["containers"][0]["resources"],
        json!({"limits": {"cpu": "1", "memory": "10Mi"}, "requests": {"cpu": "0.5"}})
    );
}

#[test]
fn custom_objects_are_left_as_they_are() {
    let text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {resources: {limits: {cpu: 1}}}\n";
    assert_eq!(read(text).unwrap()[0].body["spec"]["resources"]["limits"]["cpu"], json!(1));
}

#[test]
fn an_object_from_a_file_is_told_with_its_line() {
    let text = "# first\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n---\n\nkind: ConfigMap\napiVersion: v1\n\
                metadata: {name: b}\n";
    let titles: Vec<String> = Manifest::read("x/m.yaml", text).unwrap().iter().map(Manifest::title).collect();
    assert_eq!(titles, ["ConfigMap a (x/m.yaml, line 2)", "ConfigMap b (x/m.yaml, line 7)"]);
}
