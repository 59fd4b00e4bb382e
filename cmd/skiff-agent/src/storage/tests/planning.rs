//! Decisions, each on its own.

use super::{
    super::plan::{Placement, Refusal, choose_node, doomed, placement, refusal, wanted_class},
    *,
};
use crate::storage::{
    folders::VolumeName,
    volume::{NodeNames, describe, name_for, node_label},
};

const WAIT: &str = "WaitForFirstConsumer";

#[test]
fn only_pending_unbound_claims_for_this_provisioner_are_wanted() {
    assert_eq!(wanted_class(&claim()), Some("standard"));
    for (pointer, value) in [
        ("/spec/volumeName", json!("pv-1")),
        ("/status/phase", json!("Bound")),
        ("/status/phase", json!("Lost")),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner", json!("other.example.com")),
        ("/metadata/annotations", Value::Null),
        ("/spec/storageClassName", json!("")),
        ("/spec/storageClassName", Value::Null),
    ] {
        assert_eq!(wanted_class(&claim_with(pointer, value.clone())), None, "{pointer} {value}");
    }
}

#[test]
fn both_names_of_the_provisioner_annotation_count() {
    let claim = claim_with(
        "/metadata/annotations",
        json!({"volume.kubernetes.io/storage-provisioner": crate::storage::PROVISIONER}),
    );
    assert_eq!(wanted_class(&claim), Some("standard"));
}

#[test]
fn the_selected_node_serves_and_nobody_else() {
    let class = class(WAIT, "Delete");
    assert_eq!(placement(&claim(), &class, "a"), Placement::Here);
    assert_eq!(placement(&claim(), &class, "b"), Placement::Elsewhere);
    let undecided = claim_with("/metadata/annotations", Value::Null);
    assert_eq!(placement(&undecided, &class, "a"), Placement::Elsewhere);
}

#[test]
fn a_claim_of_an_immediate_class_may_go_anywhere_unless_a_node_was_selected() {
    let class = class("Immediate", "Delete");
    assert_eq!(placement(&claim_with("/metadata/annotations", Value::Null), &class, "b"), Placement::Anywhere);
    assert_eq!(placement(&claim(), &class, "b"), Placement::Elsewhere);
}

#[test]
fn a_class_of_another_provisioner_is_left_alone() {
    let mut class = class(WAIT, "Delete");
    class.provisioner = "other.example.com".to_owned();
    assert_eq!(placement(&claim(), &class, "a"), Placement::Elsewhere);
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    assert_eq!(refusal(&claim()), None);
    for mode in ["ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"] {
        assert_eq!(refusal(&claim_with("/spec/accessModes", json!([mode]))), None, "{mode}");
    }
    for (pointer, value, reason) in [
        ("/spec/volumeMode", json!("Block"), Refusal::Block),
        ("/spec/selector", json!({}), Refusal::Selector),
        ("/spec/dataSource", json!({"kind": "PersistentVolumeClaim", "name": "x"}), Refusal::DataSource),
        ("/spec/resources", json!({}), Refusal::NoSize),
    ] {
        assert_eq!(refusal(&claim_with(pointer, value)), Some(reason));
    }
}

#[test]
fn a_node_is_chosen_among_those_that_take_pods() {
    let nodes = [
        node("tainted", json!({"taints": [{"key": "x", "effect": "NoSchedule"}]}), "True"),
        node("cordoned", json!({"unschedulable": true}), "True"),
        node("away", json!({}), "Unknown"),
        node("good", json!({"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}), "True"),
    ];
    for uid in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        assert_eq!(choose_node(uid, &nodes), Some("good"));
    }
    assert_eq!(choose_node("1", &nodes[..1]), Some("tainted"), "better there than nowhere");
    assert_eq!(choose_node("1", &[]), None);
}

#[test]
fn choices_spread_and_do_not_depend_on_the_order_of_nodes() {
    let nodes: Vec<Node> = ["a", "b", "c"].map(|name| node(name, json!({}), "True")).into();
    let reversed: Vec<Node> = nodes.iter().rev().cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    for uid in 0..50 {
        let uid = uid.to_string();
        let chosen = choose_node(&uid, &nodes);
        assert_eq!(chosen, choose_node(&uid, &reversed));
        seen.insert(chosen);
    }
    assert_eq!(seen.len(), 3);
}

fn volume() -> PersistentVolume {
    let names = NodeNames { name: "a".to_owned(), hostname: "a.host".to_owned() };
    let name = name_for(&claim()).unwrap();
    describe(&claim(), &class(WAIT, "Delete"), &name, &names, path_of(&name).as_ref())
}

fn path_of(name: &VolumeName) -> String {
    format!("/root/{}", name.as_str())
}

#[test]
fn a_volume_carries_all_that_its_claim_and_class_say() {
    let volume = serde_json::to_value(volume()).unwrap();
    let name = format!("pvc-{UID}");
    let expected = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {"storage.skiff.dev/node": "a"},
            "annotations": {"pv.kubernetes.io/provisioned-by": "storage.skiff.dev/local"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "namespace": "shop", "uid": UID,
            },
            "local": {"path": format!("/root/{name}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a.host"]},
            ]}]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "standard",
            "volumeMode": "Filesystem",
        },
    });
    assert_eq!(volume, expected);
}

#[test]
fn a_released_volume_of_this_node_is_doomed() {
    assert_eq!(doomed(&released(volume()), "a", path_of), name_for(&claim()));
}

#[test]
fn no_other_volume_is_doomed() {
    assert_eq!(doomed(&volume(), "a", path_of), None, "still claimed");
    assert_eq!(doomed(&released(volume()), "b", path_of), None, "on another node");
    let changed = |change: fn(&mut PersistentVolume)| {
        let mut volume = released(volume());
        change(&mut volume);
        doomed(&volume, "a", path_of)
    };
    assert_eq!(changed(|v| v.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Retain".into())), None);
    assert_eq!(changed(|v| v.metadata.annotations = None), None, "not ours");
    assert_eq!(changed(|v| v.spec.as_mut().unwrap().local.as_mut().unwrap().path = "/etc".into()), None, "elsewhere");
    assert_eq!(changed(|v| v.spec.as_mut().unwrap().local = None), None);
    assert_eq!(changed(|v| v.metadata.name = Some("../etc".into())), None);
}

#[test]
fn long_node_names_make_valid_and_distinct_labels() {
    assert_eq!(node_label("short"), "short");
    let (one, two) = ("n".repeat(100) + "1", "n".repeat(100) + "2");
    assert_eq!(node_label(&one).len(), 63);
    assert_ne!(node_label(&one), node_label(&two));
}
