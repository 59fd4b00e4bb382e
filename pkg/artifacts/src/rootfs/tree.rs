//! skiff's own files of a node, carried inside the program.

use std::io::{self, Write};

use tar::{Builder, EntryType, Header};

use super::recipe::lines;
use crate::images::Digest;

/// A file of the tree.
#[derive(Debug, Clone, Copy)]
struct File {
    /// Path without a leading slash.
    path: &'static str,
    /// Permission bits.
    mode: u32,
    /// Content.
    text: &'static str,
}

macro_rules! files {
    ($($mode:literal $path:literal)*) => {
        &[$(File { path: $path, mode: $mode, text: include_str!(concat!("../../../../deploy/node/root/", $path)) }),*]
    };
}

const FILES: &[File] = files! {
    0o644 "etc/containerd/certs.d/localhost_5000_/hosts.toml"
    0o644 "etc/containerd/certs.d/registry.kube-system.svc/hosts.toml"
    0o644 "etc/containerd/certs.d/registry.kube-system.svc_5000_/hosts.toml"
    0o644 "etc/containerd/certs.d/registry.kube-system.svc.cluster.local/hosts.toml"
    0o644 "etc/containerd/certs.d/registry.kube-system.svc.cluster.local_5000_/hosts.toml"
    0o644 "etc/containerd/config.toml"
    0o644 "etc/ssh/sshd_config"
    0o644 "etc/systemd/journald.conf.d/skiff.conf"
    0o644 "etc/systemd/system.conf.d/skiff.conf"
    0o644 "etc/systemd/system/containerd.service"
    0o644 "etc/systemd/system/kubelet.service"
    0o644 "etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
    0o644 "etc/systemd/system/skiff-docker-info.service"
    0o644 "etc/systemd/system/skiff-endpoint.service"
    0o644 "etc/systemd/system/skiff-docker-info.socket"
    0o644 "etc/systemd/system/skiff-node-images.service"
    0o644 "etc/systemd/system/skiff-node-setup.service"
    0o644 "etc/systemd/system/ssh.service"
    0o755 "usr/lib/skiff/entrypoint"
    0o755 "usr/lib/skiff/node-images"
    0o755 "usr/lib/skiff/node-setup"
    0o644 "usr/lib/skiff/not-in-containers.conf"
    0o644 "usr/lib/sysctl.d/60-skiff-node.conf"
    0o644 "usr/lib/tmpfiles.d/skiff.conf"
};

const LINKS: &str = include_str!("../../../../deploy/node/links.txt");

/// Folders that programs expect and no file of ours creates.
const FOLDERS: &[&str] = &["etc/cni/net.d", "etc/containerd/certs.d", "etc/kubernetes/manifests", "opt/cni"];

/// Stands for the pause image in the files; its tag depends on the Kubernetes version.
const PAUSE: &str = "@PAUSE_IMAGE@";

/// The symbolic links as pairs of path and target.
fn links() -> impl Iterator<Item = (&'static str, &'static str)> {
    lines(LINKS).filter_map(|line| {
        let (path, target) = line.split_once(char::is_whitespace)?;
        Some((path.trim_start_matches('/'), target.trim()))
    })
}

/// Changes with any file or link of the tree.
pub(crate) fn tree_key() -> Digest {
    let files = FILES.iter().map(|file| format!("{}\0{:o}\0{}", file.path, file.mode, file.text));
    let links = links().map(|(path, target)| format!("{path}\0{target}"));
    let folders = FOLDERS.iter().map(|&path| path.to_owned());
    Digest::of(files.chain(links).chain(folders).collect::<Vec<_>>().join("\0").as_bytes())
}

/// Appends the tree to an archive. Folders that Debian's part has are left as they are.
///
/// # Errors
/// When the archive cannot be written.
pub(crate) fn append<W: Write>(archive: &mut Builder<W>, pause_image: &str) -> io::Result<()> {
    for folder in FOLDERS {
        archive.append_data(&mut header(EntryType::Directory, 0o755, 0), format!("{folder}/"), io::empty())?;
    }
    for file in FILES {
        let text = file.text.replace(PAUSE, pause_image);
        let mut header = header(EntryType::Regular, file.mode, text.len() as u64);
        archive.append_data(&mut header, file.path, text.as_bytes())?;
    }
    for (path, target) in links() {
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
    }
    Ok(())
}

/// A header for something that belongs to root and is of no particular age.
pub(crate) fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        os::unix::fs::PermissionsExt,
        path::{Path, PathBuf},
    };

    use super::*;

    fn deploy() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/node")
    }

    fn walk(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for item in std::fs::read_dir(dir).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_carried_and_scripts_can_run() {
        let root = deploy().join("root");
        let mut found = BTreeSet::new();
        walk(&root, &root, &mut found);
        assert_eq!(FILES.iter().map(|file| file.path.to_owned()).collect::<BTreeSet<_>>(), found);
        for file in FILES {
            let mode = std::fs::metadata(root.join(file.path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o111 != 0, file.mode & 0o111 != 0, "{}", file.path);
            assert_eq!(file.text.starts_with("#!"), file.mode & 0o111 != 0, "{}", file.path);
        }
    }

    #[test]
    fn every_link_has_a_target_and_no_path_appears_twice() {
        let pairs: Vec<_> = links().collect();
        assert_eq!(pairs.len(), lines(LINKS).count());
        let paths: BTreeSet<_> = pairs.iter().map(|pair| pair.0).chain(FILES.iter().map(|file| file.path)).collect();
        assert_eq!(paths.len(), pairs.len() + FILES.len());
    }

    #[test]
    fn links_to_units_of_ours_point_at_files_of_ours() {
        for (path, target) in links().filter(|(_, target)| target.starts_with("/etc/systemd/system/")) {
            assert!(FILES.iter().any(|file| Some(file.path) == target.strip_prefix('/')), "{path} -> {target}");
        }
    }

    #[test]
    fn the_pause_image_is_filled_in() {
        let mut archive = Builder::new(Vec::new());
        append(&mut archive, "example.test/pause:9").unwrap();
        let bytes = archive.into_inner().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("sandbox_image = \"example.test/pause:9\"") && !text.contains(PAUSE));
    }
}
