//! Folders of the host that nodes see.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use thiserror::Error;

/// Text that is not a mount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidMount {
    /// Its form.
    #[error("`{0}` is not a mount: write /folder/of/host:/folder/in/node, with :ro behind it to forbid writing")]
    Shape(String),
    /// A path that depends on where one stands.
    #[error("`{0}` has to begin with / and to be without ..")]
    Relative(String),
    /// A folder that a node cannot work without.
    #[error("{0} is the node's own: mount to a folder below it, or elsewhere")]
    Own(String),
}

/// Folders that are there in every node, with what the node needs.
const OWN: [&str; 15] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr",
    "/var",
];

/// A folder or file of the host at a place in a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where the node sees it.
    pub node: PathBuf,
    /// The node may not write to it.
    pub read_only: bool,
}

impl FromStr for Mount {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        let shape = || InvalidMount::Shape(text.to_owned());
        let (paths, read_only) = match text.rsplit_once(':') {
            Some((paths, "ro")) => (paths, true),
            Some((paths, "rw")) => (paths, false),
            _ => (text, false),
        };
        let (host, node) = paths.split_once(':').ok_or_else(shape)?;
        if host.is_empty() || node.is_empty() || node.contains(':') {
            return Err(shape());
        }
        let (host, node) = (plain(host)?, plain(node)?);
        if OWN.iter().any(|own| node == Path::new(own)) {
            return Err(InvalidMount::Own(node.display().to_string()));
        }
        Ok(Self { host, node, read_only })
    }
}

/// A path without detours: `/a//b/./c/` is `/a/b/c`.
fn plain(text: &str) -> Result<PathBuf, InvalidMount> {
    let path = Path::new(text);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(InvalidMount::Relative(text.to_owned()));
    }
    Ok(path.components().collect())
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{mode}", self.host.display(), self.node.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_name_both_ends() {
        for (text, shown) in [
            ("/src:/dst", "/src:/dst"),
            ("/src/:/var/lib//data/", "/src:/var/lib/data"),
            ("/a b:/c:ro", "/a b:/c:ro"),
            ("/a:/b:rw", "/a:/b"),
        ] {
            assert_eq!(text.parse::<Mount>().unwrap().to_string(), shown);
        }
        for bad in ["", "/a", ":/b", "/a:", "a:/b", "/a:b", "/a:/b:/c", "/a:/b/..", "/a:/b:wo"] {
            assert!(bad.parse::<Mount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_node_lives_from_is_not_covered() {
        for own in ["/", "/etc", "/var/", "/usr/."] {
            assert!(matches!(format!("/a:{own}").parse::<Mount>(), Err(InvalidMount::Own(_))), "{own}");
        }
        assert!("/a:/etc/motd".parse::<Mount>().is_ok());
    }
}
