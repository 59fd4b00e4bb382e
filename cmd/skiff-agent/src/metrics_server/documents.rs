//! The documents that are served: measurements, tables, discovery, and refusals. Pure.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    route::{Form, GROUP, Kind, VERSION},
    sampler::Snapshot,
    summary::Usage,
};

/// What the API server says about a pod or a node: all that its measurements repeat.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    labels: Option<serde_json::Map<String, Value>>,
}

fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// Measurements of one object; nothing if there are none.
pub(super) fn object(kind: Kind, metadata: &Metadata, snapshot: &Snapshot) -> Option<Value> {
    let mut object = json!({
        "kind": kind.name(),
        "apiVersion": api_version(),
        "metadata": {"name": metadata.name},
    });
    if let Some(labels) = &metadata.labels {
        object["metadata"]["labels"] = Value::Object(labels.clone());
    }
    let measured = match kind {
        Kind::Nodes => {
            let usage = snapshot.nodes.get(&metadata.name)?;
            object["usage"] = quantities(usage);
            usage
        }
        Kind::Pods => {
            let namespace = metadata.namespace.as_ref()?;
            object["metadata"]["namespace"] = namespace.as_str().into();
            let containers = snapshot.pods.get(&(namespace.clone(), metadata.name.clone()))?;
            let all = containers.iter().map(|(name, usage)| json!({"name": name, "usage": quantities(usage)}));
            object["containers"] = all.collect();
            // The oldest says from when on all of them are known.
            containers.iter().map(|(_, usage)| usage).min_by_key(|usage| usage.at)?
        }
    };
    object["timestamp"] = measured.at.strftime("%FT%TZ").to_string().into();
    object["window"] = format!("{}s", measured.window.as_secs()).into();
    Some(object)
}

fn quantities(usage: &Usage) -> Value {
    json!({"cpu": format!("{}n", usage.nano_cores), "memory": format!("{}Ki", usage.bytes / 1024)})
}

/// A list of measurements in the form that was asked for.
pub(super) fn list(kind: Kind, items: &[Value], form: Form) -> Value {
    match form {
        Form::Objects => json!({
            "kind": format!("{}List", kind.name()),
            "apiVersion": api_version(),
            "metadata": {},
            "items": items,
        }),
        Form::Table(version) => table(version, items),
    }
}

/// A table for `kubectl get`, with the columns of `kubectl top`.
pub(super) fn table(version: &str, items: &[Value]) -> Value {
    let column = |name: &str, kind: &str, format: &str, description: &str| json!({"name": name, "type": kind, "format": format, "description": description, "priority": 0});
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": {},
        "columnDefinitions": [
            column("Name", "string", "name", "Name of the measured object"),
            column("CPU", "string", "", "Processor use, averaged over the window"),
            column("Memory", "string", "", "Memory in use that cannot be taken away"),
            column("Window", "string", "", "Time that the average is over"),
        ],
        "rows": items.iter().map(row).collect::<Value>(),
    })
}

fn row(item: &Value) -> Value {
    let usages = || match item["containers"].as_array() {
        Some(containers) => containers.iter().map(|container| &container["usage"]).collect(),
        None => vec![&item["usage"]],
    };
    let sum = |field: &str, unit: char| -> u64 {
        let numbers = usages().into_iter().filter_map(|usage| usage[field].as_str()?.split(unit).next()?.parse().ok());
        numbers.fold(0, |sum: u64, number: u64| sum.saturating_add(number))
    };
    let cells = json!([
        item["metadata"]["name"],
        format!("{}m", sum("cpu", 'n').div_ceil(1_000_000)),
        format!("{}Mi", sum("memory", 'K') / 1024),
        item["window"],
    ]);
    let metadata = json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"],
    });
    json!({"cells": cells, "object": metadata})
}

/// The groups of this server.
pub(super) fn groups() -> Value {
    let mut group = group();
    for field in ["kind", "apiVersion"] {
        let _ = group.as_object_mut().and_then(|fields| fields.remove(field));
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
}

/// The versions of the group.
pub(super) fn group() -> Value {
    let version = json!({"groupVersion": api_version(), "version": VERSION});
    json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": [version],
        "preferredVersion": version,
    })
}

/// The resources of the version.
pub(super) fn resources() -> Value {
    let resource = |kind: Kind| {
        json!({
            "name": kind.plural(),
            "singularName": "",
            "namespaced": kind == Kind::Pods,
            "kind": kind.name(),
            "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(),
        "resources": [resource(Kind::Nodes), resource(Kind::Pods)],
    })
}

/// A refusal in the words of the Kubernetes API.
pub(super) fn failure(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code.as_u16(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn usage(at: &str, nano_cores: u64) -> Usage {
        Usage { at: at.parse().unwrap(), window: Duration::from_secs(12), nano_cores, bytes: 3 << 20 }
    }

    fn snapshot() -> Snapshot {
        let containers = vec![
            ("a".to_owned(), usage("2026-01-01T00:00:09Z", 1_000_001)),
            ("b".to_owned(), usage("2026-01-01T00:00:05.9Z", 4)),
        ];
        Snapshot {
            nodes: [("n1".to_owned(), usage("2026-01-01T00:00:01Z", 7))].into(),
            pods: [(("ns".to_owned(), "p".to_owned()), containers)].into(),
        }
    }

    fn metadata(value: Value) -> Metadata {
        serde_json::from_value(value).unwrap()
    }

    fn pod() -> Value {
        let labelled = json!({"name": "p", "namespace": "ns", "labels": {"app": "web"}, "managedFields": []});
        object(Kind::Pods, &metadata(labelled), &snapshot()).unwrap()
    }

    #[test]
    fn a_node_has_the_usage_of_the_whole() {
        let node = object(Kind::Nodes, &metadata(json!({"name": "n1"})), &snapshot()).unwrap();
        assert_eq!(node["usage"], json!({"cpu": "7n", "memory": "3072Ki"}));
        assert_eq!((&node["window"], &node["timestamp"]), (&json!("12s"), &json!("2026-01-01T00:00:01Z")));
        assert_eq!((&node["kind"], &node["apiVersion"]), (&json!("NodeMetrics"), &json!("metrics.k8s.io/v1beta1")));
    }

    #[test]
    fn a_pod_has_the_usage_of_its_containers_and_its_own_labels() {
        let pod = pod();
        assert_eq!(pod["containers"][1], json!({"name": "b", "usage": {"cpu": "4n", "memory": "3072Ki"}}));
        assert_eq!(
            (&pod["metadata"]["labels"]["app"], &pod["timestamp"]),
            (&json!("web"), &json!("2026-01-01T00:00:05Z"))
        );
    }

    #[test]
    fn what_was_not_measured_has_no_object() {
        assert!(object(Kind::Nodes, &metadata(json!({"name": "n2"})), &snapshot()).is_none());
        let elsewhere = metadata(json!({"name": "p", "namespace": "other"}));
        assert!(object(Kind::Pods, &elsewhere, &snapshot()).is_none());
    }

    #[test]
    fn a_table_sums_up_the_containers() {
        let table = list(Kind::Pods, &[pod()], Form::Table("v1"));
        assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
        assert_eq!(table["rows"][0]["cells"], json!(["p", "2m", "6Mi", "12s"]));
        assert_eq!(table["rows"][0]["object"]["metadata"]["namespace"], "ns");
        assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn discovery_names_the_same_group_everywhere() {
        assert_eq!(groups()["groups"][0]["name"], group()["name"]);
        assert_eq!(groups()["groups"][0].get("kind"), None);
        assert_eq!(resources()["groupVersion"], group()["preferredVersion"]["groupVersion"]);
        let resources = resources();
        let resources = resources["resources"].as_array().unwrap();
        let names: Vec<&str> = resources.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["nodes", "pods"]);
    }
}
