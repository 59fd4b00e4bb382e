//! Labels and taints of nodes.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// What is no label or taint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidLabel {
    /// No label.
    #[error("`{0}` is not a label: write it like disk=fast or example.org/zone=a")]
    Label(String),
    /// A label that kubelets may not give themselves.
    #[error("`{0}` is a label of Kubernetes' own: a node may not give it to itself")]
    Reserved(String),
    /// No taint.
    #[error("`{0}` is not a taint: write it like key=value:NoSchedule, or with PreferNoSchedule or NoExecute")]
    Taint(String),
}

/// A label of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name, with its prefix.
    pub name: String,
    /// Its value, which may be empty.
    pub value: String,
}

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Key and value, as a label has them.
    label: Label,
    effect: &'static str,
}

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Prefixes below `kubernetes.io` and `k8s.io` that the node restriction of API servers leaves to kubelets.
const OWN: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let label = parse(text).ok_or_else(|| InvalidLabel::Label(text.to_owned()))?;
        let prefix = label.name.split_once('/').map_or("", |(prefix, _)| prefix);
        let below = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
        let own = OWN.iter().any(|domain| below(domain));
        if !own && (below("kubernetes.io") || below("k8s.io")) {
            return Err(InvalidLabel::Reserved(label.name));
        }
        Ok(label)
    }
}

impl FromStr for Taint {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let invalid = || InvalidLabel::Taint(text.to_owned());
        let (label, effect) = text.rsplit_once(':').ok_or_else(invalid)?;
        let effect = EFFECTS.into_iter().find(|known| *known == effect).ok_or_else(invalid)?;
        Ok(Self { label: parse(label).ok_or_else(invalid)?, effect })
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.label.name, self.label.value, self.effect)
    }
}

fn parse(text: &str) -> Option<Label> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let plain = name.rsplit('/').next().unwrap_or(name);
    let prefix = name.split_once('/').map(|(prefix, _)| prefix);
    let good = is_word(plain)
        && (value.is_empty() || is_word(value))
        && prefix.is_none_or(is_domain)
        && name.matches('/').count() <= 1;
    good.then(|| Label { name: name.to_owned(), value: value.to_owned() })
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_kubernetes_form() {
        for good in ["disk=fast", "example.org/zone=a", "gpu", "node.kubernetes.io/size=big", "a_b.c=1.2-3"] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["", "=x", "a=b=c", "-a=b", "a/b/c=d", "UPPER.org/a=b", "a=ä"] {
            assert!(matches!(bad.parse::<Label>(), Err(InvalidLabel::Label(_))), "{bad}");
        }
        for reserved in ["node-role.kubernetes.io/worker=", "x.k8s.io/a=b", "kubernetes.io/hostname=x"] {
            assert!(matches!(reserved.parse::<Label>(), Err(InvalidLabel::Reserved(_))), "{reserved}");
        }
    }

    #[test]
    fn taints_name_their_effect() {
        assert_eq!("gpu=yes:NoSchedule".parse::<Taint>().unwrap().to_string(), "gpu=yes:NoSchedule");
        assert_eq!("gpu:NoExecute".parse::<Taint>().unwrap().to_string(), "gpu=:NoExecute");
        for bad in ["gpu", "gpu=yes", "gpu=yes:Never", ":NoSchedule"] {
            assert!(bad.parse::<Taint>().is_err(), "{bad}");
        }
    }
}
