//! The images of a control plane, and the one of skiff's agent.
//!
//! Names and tags are those that kubeadm asks for, so that it finds everything in place.

use std::{
    io,
    path::{Path, PathBuf},
};

use skiff_config::{KubeVersion, versions};

use super::{Digest, Entry, ImageSpec, RunConfig};

/// Where the files of the images come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// Folder with the Kubernetes programs and `pause`.
    pub(crate) programs: &'a Path,
    /// A root tree with etcd and the libraries it loads.
    pub(crate) etcd: &'a Path,
    /// What kube-proxy needs beside itself: iptables and its relatives.
    pub(crate) proxy_tools: &'a [Entry],
}

/// Run by kube-proxy's image in place of kube-proxy, to settle on one kind of iptables first.
pub(crate) const PROXY_START: &str = include_str!("../../../../deploy/node/images/kube-proxy-start");

/// Name of a Kubernetes image.
fn kubernetes(name: &str, tag: &str) -> String {
    format!("{}/{name}:{tag}", versions::IMAGE_REPOSITORY)
}

/// The name of the image that holds pods' namespaces open.
pub(crate) fn pause_reference(version: &KubeVersion) -> String {
    kubernetes("pause", versions::image_tags(version).pause)
}

/// The name of the agent's image: another binary gets another tag.
pub(crate) fn agent_reference(agent: &Digest) -> String {
    format!("skiff.local/skiff-agent:{}", agent.short(8))
}

/// All images of a control plane, smallest first.
///
/// # Errors
/// When etcd's tree cannot be listed.
pub(crate) fn control_plane(version: &KubeVersion, sources: Sources<'_>) -> io::Result<Vec<ImageSpec>> {
    let tags = versions::image_tags(version);
    let component = |name: &str| ImageSpec {
        reference: kubernetes(name, &version.to_string()),
        entries: vec![Entry::program(&format!("usr/local/bin/{name}"), sources.programs.join(name))],
        config: run(&[name], "PATH=/usr/local/bin"),
    };
    let pause = ImageSpec {
        reference: pause_reference(version),
        entries: vec![Entry::program("pause", sources.programs.join("pause"))],
        config: RunConfig { entrypoint: vec!["/pause".to_owned()], ..RunConfig::default() },
    };
    let etcd = ImageSpec {
        reference: kubernetes("etcd", tags.etcd),
        entries: tree(sources.etcd)?,
        config: run(&["etcd"], "PATH=/usr/local/bin:/usr/bin"),
    };
    Ok(vec![
        pause,
        etcd,
        component("kube-scheduler"),
        proxy(version, sources),
        component("kube-controller-manager"),
        component("kube-apiserver"),
    ])
}

/// The image of skiff's agent: the binary and nothing else.
pub(crate) fn agent(binary: &Path, digest: &Digest) -> ImageSpec {
    ImageSpec {
        reference: agent_reference(digest),
        entries: vec![Entry::program("skiff-agent", binary)],
        config: RunConfig { entrypoint: vec!["/skiff-agent".to_owned()], ..RunConfig::default() },
    }
}

fn run(cmd: &[&str], path: &str) -> RunConfig {
    RunConfig {
        env: vec![path.to_owned()],
        cmd: cmd.iter().map(|&word| word.to_owned()).collect(),
        ..RunConfig::default()
    }
}

fn proxy(version: &KubeVersion, sources: Sources<'_>) -> ImageSpec {
    let mut entries = sources.proxy_tools.to_vec();
    entries.extend([
        Entry::bytes("usr/local/bin/kube-proxy", PROXY_START, 0o755),
        Entry::program("usr/local/lib/kube-proxy", sources.programs.join("kube-proxy")),
        Entry::link("usr/bin/sh", "dash"),
        Entry::link("usr/sbin/modprobe", "../bin/kmod"),
        Entry::link("usr/sbin/lsmod", "../bin/kmod"),
    ]);
    // A merged /usr, as in the root file system that the tools come from.
    entries.extend(["bin", "sbin", "lib", "lib64"].map(|dir| Entry::link(dir, &format!("usr/{dir}"))));
    for name in ["iptables", "ip6tables"]
        .iter()
        .flat_map(|family| ["", "-save", "-restore"].map(|verb| format!("{family}{verb}")))
    {
        entries.push(Entry::link(&format!("usr/sbin/{name}"), "xtables-nft-multi"));
        // Found first once the start script has put this folder in front.
        entries.push(Entry::link(&format!("usr/libexec/iptables-legacy/{name}"), "../../sbin/xtables-legacy-multi"));
    }
    ImageSpec {
        reference: kubernetes("kube-proxy", &version.to_string()),
        entries,
        config: run(&["kube-proxy"], "PATH=/usr/local/bin:/usr/sbin:/usr/bin"),
    }
}

/// Every file and link below a folder.
fn tree(root: &Path) -> io::Result<Vec<Entry>> {
    let (mut entries, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(root.join(&folder))? {
            let item = item?;
            let path = folder.join(item.file_name());
            let name = path.to_string_lossy();
            let kind = item.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(item.path())?;
                entries.push(Entry::link(&name, &target.to_string_lossy()));
            } else {
                entries.push(Entry::program(&name, item.path()));
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Content;

    fn images(version: &str) -> Vec<ImageSpec> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        std::fs::write(dir.path().join("usr/bin/etcd"), "etcd").unwrap();
        std::os::unix::fs::symlink("usr/lib", dir.path().join("lib")).unwrap();
        let sources = Sources { programs: Path::new("/p"), etcd: dir.path(), proxy_tools: &[] };
        control_plane(&version.parse().unwrap(), sources).unwrap()
    }

    #[test]
    fn images_carry_the_names_that_kubeadm_asks_for() {
        let mut names: Vec<String> = images("v1.20.2").into_iter().map(|image| image.reference).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "registry.k8s.io/etcd:3.4.13-0",
                "registry.k8s.io/kube-apiserver:v1.20.2",
                "registry.k8s.io/kube-controller-manager:v1.20.2",
                "registry.k8s.io/kube-proxy:v1.20.2",
                "registry.k8s.io/kube-scheduler:v1.20.2",
                "registry.k8s.io/pause:3.2",
            ]
        );
        assert_eq!(pause_reference(&"v1.36.0".parse().unwrap()), "registry.k8s.io/pause:3.10.2");
    }

    #[test]
    fn etcd_brings_its_whole_tree() {
        let image = images("v1.20.2").into_iter().find(|image| image.reference.contains("/etcd:")).unwrap();
        let mut paths: Vec<&str> = image.entries.iter().map(|entry| entry.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["lib", "usr/bin/etcd"]);
    }

    #[test]
    fn kube_proxy_is_started_by_the_script_under_its_own_name() {
        let image = images("v1.20.2").into_iter().find(|image| image.reference.contains("proxy")).unwrap();
        let start = image.entries.iter().find(|entry| entry.path == "usr/local/bin/kube-proxy").unwrap();
        assert!(matches!(&start.content, Content::Bytes { mode: 0o755, .. }));
        assert!(PROXY_START.contains("exec /usr/local/lib/kube-proxy"), "{PROXY_START}");
    }

    #[test]
    fn the_agents_tag_follows_its_binary() {
        assert_eq!(agent_reference(&Digest::of(b"abc")), "skiff.local/skiff-agent:ba7816bf");
    }
}
