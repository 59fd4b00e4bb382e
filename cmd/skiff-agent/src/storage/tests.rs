//! The provisioner against an API server that lives in this process and fails where it is told to.

mod fake_api;
mod lifecycle;
mod planning;

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use serde_json::{Value, json};

const UID: &str = "0c6a1a1c-0000-4000-8000-000000000001";

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A claim that waits for this provisioner on node `a`.
fn claim() -> PersistentVolumeClaim {
    parse(claim_json())
}

fn claim_json() -> Value {
    json!({
        "metadata": {
            "name": "data", "namespace": "shop", "uid": UID,
            "annotations": {
                "volume.kubernetes.io/selected-node": "a",
                "volume.beta.kubernetes.io/storage-provisioner": super::PROVISIONER,
            },
        },
        "spec": {
            "storageClassName": "standard",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Pending"},
    })
}

/// The claim with the value at `pointer` replaced, or removed where `value` is null.
fn claim_with(pointer: &str, value: Value) -> PersistentVolumeClaim {
    let mut object = claim_json();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    let key = key.replace("~1", "/");
    match value {
        Value::Null => drop(parent.remove(&key)),
        value => drop(parent.insert(key, value)),
    }
    parse(object)
}

fn class(binding_mode: &str, reclaim_policy: &str) -> StorageClass {
    parse(json!({
        "metadata": {"name": "standard"},
        "provisioner": super::PROVISIONER,
        "reclaimPolicy": reclaim_policy,
        "volumeBindingMode": binding_mode,
    }))
}

fn node(name: &str, spec: Value, ready: &str) -> Node {
    parse(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": format!("{name}.host")}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
}

/// The volume as it is once its claim is deleted.
fn released(mut volume: PersistentVolume) -> PersistentVolume {
    volume.status = Some(parse(json!({"phase": "Released"})));
    volume
}
