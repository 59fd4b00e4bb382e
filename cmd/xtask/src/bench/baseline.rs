//! The naive way: the same root file system and Kubernetes, none of skiff's preparations.
//!
//! Images are imported from archives, certificates are kubeadm's, the CNI configuration comes
//! after `kubeadm init`, and nothing is tuned. Only what a node in a container cannot do without
//! is set.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use super::{
    docker::{Node, docker, output, read_only},
    janitor::PREFIX,
};

/// All that is ready before the clock starts.
pub(crate) struct Baseline {
    name: String,
    create: Vec<String>,
    script: PathBuf,
}

impl Baseline {
    /// Exports the images and writes the configuration into `folder`.
    pub(crate) fn prepare(folder: &Path, node: &Node) -> Result<Self, String> {
        let name = format!("{PREFIX}naive");
        let images = folder.join("images");
        let empty = folder.join("containerd");
        let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(at(&path));
        for made in [&images, &empty] {
            fs::create_dir_all(made).map_err(at(made))?;
        }
        let repository = export(&node.image, &images)?;
        let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        write(folder.join("kubeadm.yaml"), &kubeadm_config(&node.kubernetes, &repository, cgroup_v2)?)?;
        write(folder.join("bridge.conflist"), include_str!("bridge.conflist"))?;
        write(folder.join("baseline.sh"), include_str!("baseline.sh"))?;
        // The list of preloaded images: none.
        write(empty.join("skiff-images.txt"), "")?;
        docker(["network", "create", &name])?;
        let create = create_arguments(&name, folder, node);
        Ok(Self { name, create, script: folder.join("baseline.sh") })
    }

    /// Makes one cluster and removes it again; gives the seconds from `docker create` to Ready.
    pub(crate) fn measure(&self) -> Result<f64, String> {
        let script = fs::File::open(&self.script).map_err(at(&self.script))?;
        let begin = Instant::now();
        docker(&self.create)?;
        docker(["start", &self.name])?;
        output(Command::new("docker").args(["exec", "-i", &self.name, "sh", "-s"]).stdin(script))?;
        let seconds = begin.elapsed().as_secs_f64();
        docker(["rm", "-f", &self.name])?;
        docker(["volume", "rm", &self.name])?;
        Ok(seconds)
    }
}

/// Writes one archive an image; gives the registry that their names begin with.
fn export(image: &str, into: &Path) -> Result<String, String> {
    let name = format!("{PREFIX}export");
    let volume = format!("{}:/out", into.display());
    let container = ["run", "--rm", "--name", &name, "--network", "none", "--volume", &volume];
    docker(container.into_iter().chain(["--entrypoint", "sh", image, "-c", include_str!("export.sh")]))
}

/// The plain flags of a container that systemd and containerd can run in.
fn create_arguments(name: &str, folder: &Path, node: &Node) -> Vec<String> {
    let rights: &[&str] = if node.privileged {
        &["--privileged"]
    } else {
        // What a host without CAP_SYS_RESOURCE gives instead.
        &[
            "--cap-add=ALL",
            "--cap-drop=SYS_RESOURCE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
            "--security-opt=systempaths=unconfined",
            "--device-cgroup-rule=a *:* rwm",
            "--device=/dev/kmsg",
            "--device=/dev/fuse",
        ]
    };
    let plain = ["--cgroupns=private", "--tmpfs=/run", "--tmpfs=/tmp", "--stop-signal=SIGRTMIN+3"];
    // The preloaded images are hidden, or there would be nothing to import.
    let volumes = [
        format!("{name}:/var"),
        "/lib/modules:/lib/modules:ro".to_owned(),
        read_only(folder, "/bench"),
        read_only(&folder.join("containerd"), "/usr/lib/skiff/containerd"),
        read_only(&folder.join("containerd/skiff-images.txt"), "/usr/lib/skiff/images.txt"),
    ];
    let mut arguments: Vec<String> = ["create", "--name", name, "--hostname", name, "--network", name]
        .iter()
        .chain(rights)
        .chain(&plain)
        .map(ToString::to_string)
        .collect();
    arguments.extend(volumes.into_iter().flat_map(|volume| ["--volume".to_owned(), volume]));
    arguments.push(node.image.clone());
    arguments
}

/// The defaults of kubeadm, but for what makes them run in a container.
fn kubeadm_config(version: &str, repository: &str, cgroup_v2: bool) -> Result<String, String> {
    let minor: u32 = version
        .strip_prefix("v1.")
        .and_then(|rest| rest.split('.').next()?.parse().ok())
        .ok_or_else(|| format!("{version:?} is no Kubernetes version"))?;
    let api = match minor {
        ..22 => "v1beta2",
        22..31 => "v1beta3",
        _ => "v1beta4",
    };
    let cgroup_driver = if cgroup_v2 { "systemd" } else { "cgroupfs" };
    Ok(format!(
        "apiVersion: kubeadm.k8s.io/{api}
kind: InitConfiguration
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
---
apiVersion: kubeadm.k8s.io/{api}
kind: ClusterConfiguration
kubernetesVersion: {version}
imageRepository: {repository}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: {cgroup_driver}
failSwapOn: false
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack:
  maxPerCore: 0
"
    ))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_format_follows_the_version() {
        for (version, api) in [("v1.20.2", "v1beta2"), ("v1.22.0", "v1beta3"), ("v1.37.1", "v1beta4")] {
            let text = kubeadm_config(version, "r.test/k", true).unwrap();
            assert!(text.starts_with(&format!("apiVersion: kubeadm.k8s.io/{api}\n")), "{text}");
            assert!(text.contains("cgroupDriver: systemd") && text.contains("imageRepository: r.test/k\n"), "{text}");
        }
        assert!(kubeadm_config("1", "", false).is_err());
    }
}
