//! What to do about a claim or a volume. Pure: objects in, decision out.

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::ResourceExt;

use super::{PROVISIONER, folders::VolumeName, volume::node_label};

/// The scheduler's choice for the first pod of a claim.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Set by the controller manager once a claim is to be provisioned; the older name serves up to 1.22.
const STORAGE_PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/// Set on each volume by its provisioner.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The label by which an instance finds the volumes of its node.
pub(super) const NODE_LABEL: &str = "storage.skiff.dev/node";

/// Why a claim is not served, in words for the claim's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Block volumes.
    #[error("volumeMode Block is not supported: this class serves folders of the node")]
    Block,
    /// A label selector.
    #[error("a claim with a selector cannot be provisioned, only bound to an existing volume")]
    Selector,
    /// Clones and snapshots.
    #[error("a claim with a data source is not supported: volumes start empty")]
    DataSource,
    /// No size.
    #[error("the claim requests no storage")]
    NoSize,
}

/// Who is to serve a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// This node.
    Here,
    /// Another node, or the scheduler has not decided yet.
    Elsewhere,
    /// Any node: the claim does not wait for a pod.
    Anywhere,
}

/// The class of a claim that waits for us, judging by the claim alone.
pub(super) fn wanted_class(claim: &PersistentVolumeClaim) -> Option<&str> {
    let spec = claim.spec.as_ref()?;
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let bound = spec.volume_name.as_deref().is_some_and(|name| !name.is_empty());
    let ours = STORAGE_PROVISIONER
        .iter()
        .find_map(|key| claim.annotations().get(*key))
        .is_some_and(|provisioner| provisioner == PROVISIONER);
    if bound || !ours || claim.metadata.deletion_timestamp.is_some() || phase.is_some_and(|p| p != "Pending") {
        return None;
    }
    let annotated = claim.annotations().get("volume.beta.kubernetes.io/storage-class").map(String::as_str);
    spec.storage_class_name.as_deref().or(annotated).filter(|class| !class.is_empty())
}

/// Who is to serve a claim of `class`.
pub(super) fn placement(claim: &PersistentVolumeClaim, class: &StorageClass, node: &str) -> Placement {
    if class.provisioner != PROVISIONER {
        return Placement::Elsewhere;
    }
    let waits = class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
    match claim.annotations().get(SELECTED_NODE) {
        Some(selected) if selected == node => Placement::Here,
        None if !waits => Placement::Anywhere,
        _ => Placement::Elsewhere,
    }
}

/// Why a claim cannot be served, if so.
pub(super) fn refusal(claim: &PersistentVolumeClaim) -> Option<Refusal> {
    let spec = claim.spec.as_ref()?;
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some(Refusal::Block);
    }
    if spec.selector.is_some() {
        return Some(Refusal::Selector);
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Some(Refusal::DataSource);
    }
    (!requests.is_some_and(|requests| requests.contains_key("storage"))).then_some(Refusal::NoSize)
}

/// The node for a claim that may go anywhere. All instances come to the same choice by themselves: the
/// highest hash of claim and node wins, which spreads claims and moves few of them when nodes change.
pub(super) fn choose_node<'a>(claim_uid: &str, nodes: &'a [Node]) -> Option<&'a str> {
    let names = |fits: fn(&&Node) -> bool| -> Vec<&'a str> {
        nodes.iter().filter(fits).filter_map(|node| node.metadata.name.as_deref()).collect()
    };
    let mut candidates = names(takes_pods);
    if candidates.is_empty() {
        candidates = names(|_| true);
    }
    candidates.into_iter().max_by_key(|name| (hash(&[claim_uid, name]), *name))
}

/// Whether ordinary pods can be scheduled to the node.
fn takes_pods(node: &&Node) -> bool {
    let spec = node.spec.as_ref();
    let cordoned = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let tainted = spec
        .and_then(|spec| spec.taints.as_ref())
        .is_some_and(|taints| taints.iter().any(|taint| taint.effect != "PreferNoSchedule"));
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && !cordoned && !tainted
}

/// FNV-1a: the same on all nodes and in all versions, unlike the standard library's hashes.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The name of a volume whose folder is to be removed, since nobody claims it any more.
///
/// Trusts the volume's words as little as possible: the folder must be the one that a volume of this name
/// has, so that no volume made by hand can point us at another path.
pub(super) fn doomed(
    volume: &PersistentVolume,
    node: &str,
    path_of: impl Fn(&VolumeName) -> String,
) -> Option<VolumeName> {
    let spec = volume.spec.as_ref()?;
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER)
        && volume.labels().get(NODE_LABEL).is_some_and(|label| *label == node_label(node));
    let delete = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
    if !ours || !delete || phase != Some("Released") {
        return None;
    }
    let name = VolumeName::parse(volume.metadata.name.as_deref()?)?;
    let path = &spec.local.as_ref()?.path;
    (*path == path_of(&name)).then_some(name)
}
