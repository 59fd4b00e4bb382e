//! Settings that may be about one node only.

use std::{fmt, str::FromStr};

/// A value for one node, or for those that its setting is usually about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OnNode<T> {
    /// The node's number, counted from 0.
    pub node: Option<u32>,
    /// The value.
    pub value: T,
}

impl<T> OnNode<T> {
    /// A value that names no node.
    pub fn usual(value: T) -> Self {
        Self { node: None, value }
    }

    /// True if it names this node.
    #[must_use]
    pub fn names(&self, index: u32) -> bool {
        self.node == Some(index)
    }
}

impl<T: FromStr> FromStr for OnNode<T> {
    type Err = T::Err;

    /// Reads a value, or `m02:` and one: nodes are called as in `skiff ssh -n m02`, the first one `m01`.
    fn from_str(text: &str) -> Result<Self, T::Err> {
        if let Some((word, rest)) = text.split_once(':')
            && let Some(index) = number(word)
        {
            // A taint's key may look like a node; then what is left is no taint.
            match rest.parse() {
                Ok(value) => return Ok(Self { node: Some(index), value }),
                Err(error) => return text.parse().map(Self::usual).map_err(|_| error),
            }
        }
        text.parse().map(Self::usual)
    }
}

impl<T: fmt::Display> fmt::Display for OnNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.node {
            write!(f, "m{:02}:", index + 1)?;
        }
        self.value.fmt(f)
    }
}

/// `m02` → 1.
fn number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('m')?;
    let plain = digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u32>().ok().filter(|_| plain)?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, PortMapping, Taint};

    #[test]
    fn a_value_may_name_its_node() {
        let ports = |text: &str| text.parse::<OnNode<PortMapping>>().unwrap();
        for (text, node, shown) in [
            ("80", None, "80:80/tcp"),
            ("m01:8080:80", Some(0), "m01:8080:80/tcp"),
            ("m02:127.0.0.1:53:53/udp", Some(1), "m02:127.0.0.1:53:53/udp"),
            ("m13:[::1]:80:80", Some(12), "m13:[::1]:80:80/tcp"),
        ] {
            assert_eq!((ports(text).node, ports(text).to_string().as_str()), (node, shown));
            assert_eq!(ports(shown), ports(text));
        }
        for bad in ["m00:80:80", "m2:80:80", "m02:", "x02:80", "m02:m03:80"] {
            assert!(bad.parse::<OnNode<PortMapping>>().is_err(), "{bad}");
        }
        assert!("m02:x".parse::<OnNode<PortMapping>>().unwrap_err().to_string().starts_with("`x`"));
    }

    #[test]
    fn labels_and_taints_may_look_like_nodes() {
        let label = |text: &str| text.parse::<OnNode<Label>>().unwrap();
        assert_eq!((label("m02=a").node, label("m02").node, label("m02:m02=a").node), (None, None, Some(1)));
        let taint = |text: &str| text.parse::<OnNode<Taint>>().unwrap();
        assert_eq!((taint("m02:NoSchedule").node, taint("m02:gpu:NoSchedule").node), (None, Some(1)));
    }
}
