//! Feature gates: which go to Kubernetes' components, which to kubeadm itself.
//!
//! Every component refuses to start with a gate it does not know. Gates of Kubernetes are passed on
//! as given, so that a typo is reported and not lost; kubeadm's own are known by name, and those
//! that its version does not have are left out.

use serde_json::{Map, Value};
use skiff_config::FeatureGate;

use crate::ClusterConfig;

/// A gate of kubeadm: name, first and last minor that know it, and whether components know it too.
struct KubeadmGate {
    name: &'static str,
    minors: std::ops::RangeInclusive<u64>,
    components_too: bool,
}

const fn only_kubeadm(name: &'static str, first: u64, last: u64) -> KubeadmGate {
    KubeadmGate { name, minors: first..=last, components_too: false }
}

const KUBEADM_GATES: [KubeadmGate; 9] = [
    KubeadmGate { name: "IPv6DualStack", minors: 16..=23, components_too: true },
    only_kubeadm("PublicKeysECDSA", 19, 35),
    only_kubeadm("RootlessControlPlane", 22, u64::MAX),
    only_kubeadm("UnversionedKubeletConfigMap", 22, 25),
    only_kubeadm("EtcdLearnerMode", 27, 32),
    only_kubeadm("UpgradeAddonsBeforeControlPlane", 28, 30),
    only_kubeadm("WaitForAllControlPlaneComponents", 30, u64::MAX),
    only_kubeadm("ControlPlaneKubeletLocalMode", 31, u64::MAX),
    only_kubeadm("NodeLocalCRISocket", 32, 36),
];

fn kubeadm_gate(gate: &FeatureGate) -> Option<&'static KubeadmGate> {
    KUBEADM_GATES.iter().find(|known| known.name == gate.name)
}

/// The gates that apiserver, controller manager, scheduler, kubelet and kube-proxy get. A gate given
/// more than once counts as given last.
pub(super) fn of_components(cluster: &ClusterConfig) -> Vec<&FeatureGate> {
    let minor = cluster.version().minor();
    let fits = |gate: &FeatureGate| match kubeadm_gate(gate) {
        Some(known) => known.components_too && known.minors.contains(&minor),
        None => true,
    };
    last_of_each(cluster).into_iter().filter(|gate| fits(gate)).collect()
}

/// The gates of kubeadm's own `ClusterConfiguration`.
pub(super) fn of_kubeadm(cluster: &ClusterConfig) -> Map<String, Value> {
    let minor = cluster.version().minor();
    let fits = |gate: &FeatureGate| kubeadm_gate(gate).is_some_and(|known| known.minors.contains(&minor));
    to_map(last_of_each(cluster).into_iter().filter(|gate| fits(gate)))
}

/// Gates of kubeadm that the cluster's version does not have: worth a warning.
#[must_use]
pub fn ignored_gates(cluster: &ClusterConfig) -> Vec<FeatureGate> {
    let minor = cluster.version().minor();
    let unknown = |gate: &FeatureGate| kubeadm_gate(gate).is_some_and(|known| !known.minors.contains(&minor));
    last_of_each(cluster).into_iter().filter(|gate| unknown(gate)).cloned().collect()
}

/// Gates as the map that configuration files hold.
pub(super) fn to_map<'a>(gates: impl IntoIterator<Item = &'a FeatureGate>) -> Map<String, Value> {
    gates.into_iter().map(|gate| (gate.name.clone(), gate.enabled.into())).collect()
}

fn last_of_each(cluster: &ClusterConfig) -> Vec<&FeatureGate> {
    let gates = &cluster.spec.feature_gates;
    let is_last = |(at, gate): &(usize, &FeatureGate)| gates[at + 1..].iter().all(|later| later.name != gate.name);
    gates.iter().enumerate().filter(is_last).map(|(_, gate)| gate).collect()
}
