use super::*;
use crate::Catalog;

/// Some cluster.
pub(crate) fn context() -> Context {
    Context {
        kubernetes: KubeVersion::new(1, 20, 2),
        agent: "agent.test/skiff-agent:1".to_owned(),
        domain: "cluster.local".to_owned(),
        dns_ip: "10.96.0.10".parse().unwrap(),
        service_network: "10.96.0.0/12".parse().unwrap(),
        pod_network: "10.244.0.0/16".parse().unwrap(),
        api_host: "192.0.2.10".to_owned(),
        api_port: 8443,
        node_network: "192.0.2.0/24".parse().unwrap(),
        node_gateway: "192.0.2.1".parse().unwrap(),
    }
}

const ENTRY: &str = "apiVersion: skiff.dev/v1alpha1
kind: Addon
metadata: {name: a}
spec:
  description: A
  maintainer: me
  docs: a.md
  kubernetes: '>=1.20'
  images:
    - {name: agent, preloaded: true}
    - {name: web, image: 'r.test/web:1@sha256:0000000000000000000000000000000000000000000000000000000000000000'}
  values:
    - {name: port, type: port, default: 80, description: P}
    - {name: title, type: string, default: '', description: T}
    - {name: extra, type: bool, default: false, description: E}
  manifests: [a.yaml, {file: extra.yaml, when: extra}, {file: new.yaml, kubernetes: '>=1.21'}]
";
const MANIFEST: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: kube-system}
data: {image: '{{image}} {{image.web}}', port: '{{value.port}}', title: \"{{value.title}}\", api: '{{api_host}}:{{api_port}}'}
";

fn addon(manifest: &str) -> Addon {
    let extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n";
    let new = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n";
    let files = [("a/addon.yaml", ENTRY), ("a/a.yaml", manifest), ("a/extra.yaml", extra), ("a/new.yaml", new)];
    Catalog::from_files("x", files.into_iter()).unwrap().find("a").unwrap().clone()
}

fn wish(values: &[(&str, &str)], images: &[(&str, &str)], registries: &[(&str, &str)]) -> AddonWish {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    AddonWish { enabled: None, values: map(values), images: map(images), registries: map(registries) }
}

fn data(wish: &AddonWish, key: &str) -> String {
    let rendered = addon(MANIFEST).render(wish, &context()).unwrap();
    rendered.objects[0].body()["data"][key].as_str().unwrap().to_owned()
}

#[test]
fn placeholders_are_filled_in_and_objects_marked() {
    let rendered = addon(MANIFEST).render(&AddonWish::default(), &context()).unwrap();
    let object = rendered.objects[0].body();
    assert_eq!(object["data"]["port"], "80");
    assert_eq!(object["data"]["api"], "192.0.2.10:8443");
    assert_eq!(object["metadata"]["labels"], serde_json::json!({ MANAGED_BY: "skiff", LABEL: "a" }));
    assert!(data(&AddonWish::default(), "image").starts_with("agent.test/skiff-agent:1 r.test/web:1@sha256:00"));
}

#[test]
fn files_are_left_out_by_value_and_by_version() {
    let names = |wish: &AddonWish, minor: u64| {
        let context = Context { kubernetes: KubeVersion::new(1, minor, 0), ..context() };
        let rendered = addon(MANIFEST).render(wish, &context).unwrap();
        rendered.list().into_iter().map(|object| object.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&AddonWish::default(), 20), ["one"]);
    assert_eq!(names(&wish(&[("extra", "true")], &[], &[]), 21), ["one", "extra", "new"]);
}

#[test]
fn images_and_registries_can_be_others() {
    assert_eq!(data(&wish(&[], &[("web", "other/web:2")], &[]), "image"), "agent.test/skiff-agent:1 other/web:2");
    let moved = data(&wish(&[], &[("web", "other/web:2")], &[("web", "m.test"), ("agent", "m.test:5000")]), "image");
    assert_eq!(moved, "m.test:5000/skiff-agent:1 m.test/other/web:2");
}

#[test]
fn a_text_cannot_become_yaml() {
    let text = "\"}, kind: Secret, x: {y: \"\\";
    assert_eq!(data(&wish(&[("title", text)], &[], &[]), "title"), text);
}

#[test]
fn all_bad_settings_are_told_at_once() {
    let wish = wish(
        &[("port", "0"), ("titel", "x"), ("extra", "yes")],
        &[("web", "A B"), ("wbe", "x")],
        &[("web", "a b"), ("none", "x.test")],
    );
    let told: Vec<String> = addon(MANIFEST).problems(&wish).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn manifests_with_errors_are_told_with_file_and_line() {
    let broken = format!("{MANIFEST}---\n# a comment\nkind: ConfigMap\n---\napiVersion: v1\nkind: [\n");
    let error = addon(&broken).render(&AddonWish::default(), &context()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("x/a/a.yaml, line 7"), "{text}");
    assert!(text.contains("x/a/a.yaml, line 1"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn placeholders_are_found_with_their_lines() {
    assert_eq!(placeholders("a {{x}}\n{{ y\n{{value.z}} {{image}}"), [(1, "x"), (3, "value.z"), (3, "image")]);
}
