//! What a minor takes away from those who come to it.

/// Minor and what its users should know before.
const NOTES: [(u64, &str); 11] = [
    (22, "many beta APIs are gone (Ingress, CustomResourceDefinition, webhooks, RBAC v1beta1): move manifests to v1"),
    (24, "control planes lose the label and taint node-role.kubernetes.io/master: use control-plane"),
    (24, "service accounts get no secret with a token any more: `kubectl create token`"),
    (25, "PodSecurityPolicy is gone: use Pod Security admission"),
    (25, "CronJob, EndpointSlice and PodDisruptionBudget v1beta1 are gone"),
    (26, "HorizontalPodAutoscaler v2beta2 and flow control v1beta1 are gone"),
    (27, "CSIStorageCapacity v1beta1 is gone; kubelets lose the flag --container-runtime"),
    (29, "flow control v1beta2 is gone"),
    (32, "flow control v1beta3 is gone"),
    (34, "etcd becomes 3.6, which cannot go back to 3.5"),
    (35, "kubelets refuse cgroup version 1 unless they are told not to, which skiff does"),
];

/// What there is to say about a minor.
pub(super) fn of(minor: u64) -> impl Iterator<Item = &'static str> {
    NOTES.into_iter().filter(move |(of, _)| *of == minor).map(|(_, text)| text)
}
