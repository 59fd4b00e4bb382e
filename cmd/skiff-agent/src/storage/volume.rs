//! The PersistentVolume for a claim. Pure.

use std::{collections::BTreeMap, path::Path};

use k8s_openapi::{
    api::{
        core::v1::{
            LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference,
            PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;

use super::{
    PROVISIONER,
    folders::VolumeName,
    plan::{NODE_LABEL, PROVISIONED_BY, hash},
};

/// The longest value that a label may have.
const MAX_LABEL: usize = 63;

/// The node as its volumes name it.
#[derive(Clone, Debug)]
pub(super) struct NodeNames {
    /// The name of the node object.
    pub(super) name: String,
    /// The value of its label `kubernetes.io/hostname`, which is not always the name.
    pub(super) hostname: String,
}

/// The name of the volume for a claim: always the same for one claim, so that a second try finds the first.
pub(super) fn name_for(claim: &PersistentVolumeClaim) -> Option<VolumeName> {
    VolumeName::parse(&format!("pvc-{}", claim.metadata.uid.as_deref()?))
}

/// A node's name as the value of a label: where it is too long, its start and a hash.
pub(super) fn node_label(node: &str) -> String {
    if node.len() <= MAX_LABEL {
        return node.to_owned();
    }
    // Node names are ASCII, so any place is fit to cut at.
    let start: String = node.chars().take(MAX_LABEL - 17).collect();
    format!("{start}-{:016x}", hash(&[node]))
}

/// The volume for `claim`, in the folder at `path`.
pub(super) fn describe(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    name: &VolumeName,
    node: &NodeNames,
    path: &Path,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
    let capacity: BTreeMap<_, _> = requests.into_iter().filter(|(what, _)| what == "storage").collect();
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.as_str().to_owned()),
            labels: Some([(NODE_LABEL.to_owned(), node_label(&node.name))].into()),
            annotations: Some([(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            // All pods of a volume run on its node, so that even shared access is no lie.
            access_modes: spec.access_modes,
            capacity: Some(capacity),
            claim_ref: Some(ObjectReference { resource_version: None, ..claim.object_ref(&()) }),
            local: Some(LocalVolumeSource { path: path.display().to_string(), fs_type: None }),
            node_affinity: Some(affinity(&node.hostname)),
            persistent_volume_reclaim_policy: Some(class.reclaim_policy.clone().unwrap_or_else(|| "Delete".to_owned())),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn affinity(hostname: &str) -> VolumeNodeAffinity {
    let here = NodeSelectorRequirement {
        key: "kubernetes.io/hostname".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![hostname.to_owned()]),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![here]), match_fields: None };
    VolumeNodeAffinity { required: Some(NodeSelector { node_selector_terms: vec![term] }) }
}
