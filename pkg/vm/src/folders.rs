//! Folders of the host that a machine sees: what is kept about them, and where the machine puts them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use skiff_config::Mount;

/// How a machine mounts them. One that fails keeps pods away, which would see an empty folder, but not
/// those who want to know why: they log in.
const OPTIONS: &str = "nofail,x-systemd.before=kubelet.service,x-systemd.required-by=kubelet.service";

/// A folder of the host that a machine sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedFolder {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where the machine has it.
    pub node: PathBuf,
    /// The machine may not write to it.
    pub read_only: bool,
}

impl SharedFolder {
    /// The name under which a machine finds its n-th folder.
    #[must_use]
    pub fn tag(n: usize) -> String {
        format!("skiff{n}")
    }
}

impl From<&Mount> for SharedFolder {
    fn from(mount: &Mount) -> Self {
        let Mount { host, node, read_only } = mount.clone();
        Self { host, node, read_only }
    }
}

/// The machine's `/etc/fstab`.
pub(crate) fn table(mounts: &[Mount]) -> String {
    let mut text = String::new();
    for (n, mount) in mounts.iter().enumerate() {
        let mode = if mount.read_only { "ro" } else { "rw" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} virtiofs {mode},{OPTIONS} 0 0", SharedFolder::tag(n), field(&mount.node));
    }
    text
}

/// A path as a field of that file, where spaces end one.
fn field(path: &Path) -> String {
    let mut text = String::new();
    for letter in path.display().to_string().chars() {
        match letter {
            ' ' | '\t' | '\n' | '\\' | '#' => {
                let _ = write!(text, "\\{:03o}", u32::from(letter));
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_mounts_its_folders_before_pods_run() {
        let mounts = ["/src:/data:ro", "/a b:/with space"].map(|text| text.parse().unwrap());
        let table = table(&mounts);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("skiff0 /data virtiofs ro,nofail,"), "{table}");
        assert!(lines[1].starts_with("skiff1 /with\\040space virtiofs rw,"), "{table}");
        assert!(lines.iter().all(|line| line.split(' ').count() == 6), "{table}");
        assert!(lines.iter().all(|line| line.contains("required-by=kubelet.service")), "{table}");
    }
}
