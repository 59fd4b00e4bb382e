//! Command-line flags of a component.

use std::collections::BTreeMap;

use skiff_config::{Component, FeatureGate};

use super::gates;
use crate::ClusterConfig;

/// Flags by name, without their dashes. A flag set twice counts as set last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flags(BTreeMap<String, String>);

impl Flags {
    /// The flags of a component: what skiff wants, the cluster's feature gates, and over them what
    /// the user set.
    pub(super) fn of(cluster: &ClusterConfig, component: Component, ours: &[(&str, &str)]) -> Self {
        let mut flags = Self::default();
        for (name, value) in ours {
            flags.set(name, value);
        }
        let gates = gates::of_components(cluster);
        if component != Component::Etcd && !gates.is_empty() {
            flags.set("feature-gates", &gates_flag(&gates));
        }
        for (name, value) in cluster.settings(component) {
            flags.merge(name, value);
        }
        flags
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Sets a flag of the user's; gates are added to those already there, which later ones override.
    pub(super) fn merge(&mut self, name: &str, value: &str) {
        let name = name.trim_start_matches('-');
        match self.0.get_mut(name) {
            Some(present) if name == "feature-gates" => *present = format!("{present},{value}"),
            _ => self.set(name, value),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn gates_flag(gates: &[&FeatureGate]) -> String {
    gates.iter().map(|gate| format!("{}={}", gate.name, gate.enabled)).collect::<Vec<_>>().join(",")
}
