//! Where the network between pods comes from.

use std::fmt;

use crate::versions;

/// The choices of `--cni`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cni {
    /// skiff's own: a bridge on each node, routes between nodes.
    Bridge,
    /// None: somebody else brings one, and nodes are not ready before.
    Disabled,
    /// Manifests of a project, known by its name.
    Known(&'static str),
    /// Manifests in a file or at a URL.
    Manifests(String),
}

/// Projects that are known by their names.
const KNOWN: [&str; 3] = ["flannel", "calico", "cilium"];

impl Cni {
    /// Where its manifests are: a file or a URL. `None` where there are none to apply, or where a project
    /// publishes none.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        match self {
            Self::Bridge | Self::Disabled => None,
            Self::Known(name) => {
                versions::NETWORK_MANIFESTS.iter().find(|(project, _)| project == name).map(|(_, url)| *url)
            }
            Self::Manifests(place) => Some(place),
        }
    }

    /// Reads a word of the command line. Every other text names a file or a URL.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            // minikube's word for its own network of many nodes.
            "" | "auto" | "true" | "bridge" | "kindnet" => Self::Bridge,
            "false" | "none" => Self::Disabled,
            _ => KNOWN
                .into_iter()
                .find(|known| *known == text)
                .map_or_else(|| Self::Manifests(text.to_owned()), Self::Known),
        }
    }
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "bridge",
            Self::Disabled => "none",
            Self::Known(name) => name,
            Self::Manifests(place) => place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_choices_and_all_else_is_a_place() {
        for word in ["auto", "true", "bridge", "kindnet"] {
            assert_eq!(Cni::parse(word), Cni::Bridge, "{word}");
        }
        assert_eq!(Cni::parse("false"), Cni::Disabled);
        assert_eq!(Cni::parse("calico"), Cni::Known("calico"));
        assert_eq!(Cni::parse("./net.yaml"), Cni::Manifests("./net.yaml".to_owned()));
        assert_eq!(Cni::parse("./net.yaml").place(), Some("./net.yaml"));
        assert!(Cni::parse("flannel").place().is_some_and(|url| url.starts_with("https://")));
        assert_eq!((Cni::parse("cilium").place(), Cni::parse("none").place()), (None, None));
        for cni in ["bridge", "none", "cilium", "https://example.test/net.yaml"] {
            assert_eq!(Cni::parse(cni).to_string(), cni);
        }
    }
}
