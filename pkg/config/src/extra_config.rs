//! `--extra-config component.key=value`.

use std::{fmt, str::FromStr};

/// A part of Kubernetes that takes extra settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// kube-apiserver flags.
    ApiServer,
    /// kube-controller-manager flags.
    ControllerManager,
    /// kube-scheduler flags.
    Scheduler,
    /// etcd flags.
    Etcd,
    /// `KubeletConfiguration` fields.
    Kubelet,
    /// `KubeProxyConfiguration` fields.
    KubeProxy,
    /// kubeadm's own settings.
    Kubeadm,
}

impl Component {
    /// All of them, in the order messages list them.
    pub const ALL: [Self; 7] = [
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Etcd,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubeadm,
    ];

    /// kubeadm settings that may be set.
    pub const KUBEADM_KEYS: [&str; 3] = ["ignore-preflight-errors", "skip-phases", "pod-network-cidr"];

    /// The word before the dot.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiServer => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Etcd => "etcd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubeadm => "kubeadm",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtraConfig {
    /// Whose setting it is.
    pub component: Component,
    /// A flag without its dashes, or a dotted path of configuration fields.
    pub key: String,
    /// The value as written.
    pub value: String,
}

impl FromStr for ExtraConfig {
    type Err = String;

    /// # Errors
    /// A sentence that says what is wrong and what would be right.
    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("`{text}` is not an extra-config setting: write component.key=value");
        let (left, value) = text.split_once('=').ok_or_else(shape)?;
        let (component, key) = left.split_once('.').ok_or_else(shape)?;
        if key.is_empty() {
            return Err(shape());
        }
        let known = Component::ALL.into_iter().find(|candidate| candidate.as_str() == component);
        let Some(component) = known else {
            let names: Vec<&str> = Component::ALL.iter().map(|component| component.as_str()).collect();
            return Err(format!("`{component}` in `{text}` is no component: use one of {}", names.join(", ")));
        };
        if component == Component::Kubeadm && !Component::KUBEADM_KEYS.contains(&key) {
            let keys = Component::KUBEADM_KEYS.join(", ");
            return Err(format!("`{key}` in `{text}` is no kubeadm setting: use one of {keys}"));
        }
        Ok(Self { component, key: key.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for ExtraConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}={}", self.component.as_str(), self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_component_key_and_value() {
        let setting: ExtraConfig = "apiserver.v=5".parse().unwrap();
        assert_eq!((setting.component, setting.key.as_str(), setting.value.as_str()), (Component::ApiServer, "v", "5"));
        let nested: ExtraConfig = "kubelet.evictionHard.memory.available=5%".parse().unwrap();
        assert_eq!(nested.key, "evictionHard.memory.available");
        assert_eq!(nested.to_string(), "kubelet.evictionHard.memory.available=5%");
    }

    #[test]
    fn typos_are_answered_with_what_would_be_right() {
        assert!("apiservr.v=5".parse::<ExtraConfig>().unwrap_err().contains("apiserver, controller-manager"));
        assert!("kubeadm.colour=red".parse::<ExtraConfig>().unwrap_err().contains("pod-network-cidr"));
        for bad in ["", "v=5", "apiserver.v", "apiserver.=5"] {
            assert!(bad.parse::<ExtraConfig>().unwrap_err().contains("component.key=value"), "{bad}");
        }
    }
}
