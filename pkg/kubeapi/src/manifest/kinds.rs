//! The kinds that are part of Kubernetes: no discovery is needed for them.

use std::borrow::Cow;

/// Where the objects of a kind live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The plural in paths.
    pub(crate) plural: Cow<'static, str>,
    /// Whether they live in namespaces.
    pub(crate) namespaced: bool,
}

/// When objects are applied: all of a rank at once, after all of the ranks before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank {
    /// Everything else may live in one.
    Namespaces,
    /// Other objects may be of these kinds.
    Kinds,
    /// Who may do what, and the classes that admission looks up: needed when others are created.
    Rules,
    /// What pods mount and how they are reached.
    Supplies,
    /// What makes pods.
    Workloads,
    /// All other kinds, custom ones included.
    Rest,
    /// What takes part in every request, and needs a pod that answers.
    Interceptors,
}

impl Rank {
    /// The rank of a kind.
    pub(crate) fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace") => Self::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Kinds,
            ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
            | ("rbac.authorization.k8s.io" | "storage.k8s.io" | "scheduling.k8s.io" | "node.k8s.io", _)
            | ("policy", "PodSecurityPolicy")
            | ("networking.k8s.io", "IngressClass") => Self::Rules,
            ("", "ConfigMap" | "Secret" | "Service" | "Endpoints" | "PersistentVolume" | "PersistentVolumeClaim") => {
                Self::Supplies
            }
            ("", "Pod" | "ReplicationController") | ("apps" | "batch", _) => Self::Workloads,
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration")
            | ("apiregistration.k8s.io", "APIService") => Self::Interceptors,
            _ => Self::Rest,
        }
    }
}

/// Kinds in namespaces whose plural is the kind in lower case and an `s`.
const NAMESPACED: &[(&str, &[&str])] = &[
    ("", &["ConfigMap", "Event", "LimitRange", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController"]),
    ("", &["ResourceQuota", "Secret", "Service", "ServiceAccount"]),
    ("apps", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("batch", &["CronJob", "Job"]),
    ("coordination.k8s.io", &["Lease"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("policy", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding"]),
    ("resource.k8s.io", &["ResourceClaim", "ResourceClaimTemplate"]),
];

/// Likewise, outside of namespaces.
const CLUSTER: &[(&str, &[&str])] = &[
    ("", &["Namespace", "Node", "PersistentVolume"]),
    ("admissionregistration.k8s.io", &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("admissionregistration.k8s.io", &["ValidatingAdmissionPolicyBinding"]),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "VolumeAttachment"]),
];

/// Where a built-in kind lives.
pub(crate) fn builtin(group: &str, kind: &str) -> Option<Place> {
    let irregular: Option<(&'static str, bool)> = match (group, kind) {
        ("", "Endpoints") => Some(("endpoints", true)),
        ("networking.k8s.io", "NetworkPolicy") => Some(("networkpolicies", true)),
        ("networking.k8s.io" | "extensions", "Ingress") => Some(("ingresses", true)),
        ("networking.k8s.io", "IngressClass") => Some(("ingressclasses", false)),
        ("node.k8s.io", "RuntimeClass") => Some(("runtimeclasses", false)),
        ("policy", "PodSecurityPolicy") => Some(("podsecuritypolicies", false)),
        ("resource.k8s.io", "DeviceClass") => Some(("deviceclasses", false)),
        ("scheduling.k8s.io", "PriorityClass") => Some(("priorityclasses", false)),
        ("storage.k8s.io", "StorageClass") => Some(("storageclasses", false)),
        ("storage.k8s.io", "VolumeAttributesClass") => Some(("volumeattributesclasses", false)),
        ("storage.k8s.io", "CSIStorageCapacity") => Some(("csistoragecapacities", true)),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => Some(("validatingadmissionpolicies", false)),
        _ => None,
    };
    if let Some((plural, namespaced)) = irregular {
        return Some(Place { plural: plural.into(), namespaced });
    }
    let holds = |table: &[(&str, &[&str])]| table.iter().any(|(it, kinds)| *it == group && kinds.contains(&kind));
    let namespaced = holds(NAMESPACED);
    (namespaced || holds(CLUSTER)).then(|| Place { plural: format!("{}s", kind.to_lowercase()).into(), namespaced })
}
