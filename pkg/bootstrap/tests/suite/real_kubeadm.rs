//! What a real kubeadm makes of our files, in a root folder of its own.
//!
//! `SKIFF_KUBEADM=/path/to/kubeadm cargo test -p skiff-bootstrap real_kubeadm -- --ignored`,
//! as root, with a statically linked kubeadm of the version in `SKIFF_KUBEADM_MINOR` (default 20).

use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::SystemTime,
};

use skiff_bootstrap::{NodeFile, Role, node_files, pki::ClusterPki};

use crate::{fixture, fixture::Flavour};

/// A root folder with kubeadm and a node's files in it.
struct Root {
    folder: tempfile::TempDir,
    files: Vec<NodeFile>,
}

impl Root {
    fn new(flavour: Flavour) -> Self {
        let minor = std::env::var("SKIFF_KUBEADM_MINOR").map_or(20, |minor| minor.parse().unwrap());
        let cluster = fixture::cluster(minor, flavour);
        let node = fixture::node(&cluster, Role::FirstControlPlane, flavour);
        let now = SystemTime::now();
        let pki = ClusterPki::generate(&cluster, now).unwrap();
        let files = node_files(&cluster, &node, &pki, now).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for file in &files {
            let path = folder.path().join(file.path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &file.contents).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).unwrap();
        }
        let kubeadm = std::env::var("SKIFF_KUBEADM").expect("SKIFF_KUBEADM names a kubeadm");
        fs::copy(kubeadm, folder.path().join("kubeadm")).unwrap();
        Self { folder, files }
    }

    /// Runs kubeadm with our configuration; it must succeed. Returns all it printed.
    fn kubeadm(&self, words: &str) -> String {
        let output = Command::new("chroot")
            .arg(self.folder.path())
            .arg("/kubeadm")
            .args(words.split(' '))
            .arg("--config=/etc/kubernetes/kubeadm.yaml")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "kubeadm {words}\n{text}");
        text
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// Everything below a folder: path to text.
    fn below(&self, folder: &str) -> BTreeMap<String, String> {
        fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.insert(path.display().to_string(), fs::read_to_string(&path).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.folder.path().join(folder), &mut found);
        found
    }
}

#[test]
#[ignore = "needs a kubeadm binary and root"]
fn kubeadm_takes_our_certificates_and_kubeconfigs_as_they_are() {
    for flavour in Flavour::ALL {
        let root = Root::new(flavour);
        let before = root.below("etc/kubernetes");
        assert_eq!(before.len() + 1, root.files.len(), "all but the CNI configuration");
        let certs = root.kubeadm("init phase certs all");
        root.kubeadm("init phase kubeconfig all");
        assert_eq!(root.below("etc/kubernetes"), before, "kubeadm made or changed something");
        assert!(!certs.contains("WARNING") && !certs.contains("Generating"), "{certs}");
    }
}

#[test]
#[ignore = "needs a kubeadm binary and root"]
fn kubeadm_reads_every_setting_of_ours_without_a_warning() {
    let root = Root::new(Flavour::Default);
    let printed = root.kubeadm("init phase control-plane all");
    // The one thing it says: there is no systemd in this root.
    let warnings: Vec<&str> = printed.lines().filter(|line| line.starts_with('W')).collect();
    assert!(warnings.iter().all(|line| line.contains("systemd-resolved")), "{printed}");
    root.kubeadm("init phase etcd local");
    let manager = root.read("etc/kubernetes/manifests/kube-controller-manager.yaml");
    for flag in ["--leader-elect=false", "--allocate-node-cidrs=false", "--cluster-cidr=10.244.0.0/16"] {
        assert!(manager.contains(flag), "{flag}\n{manager}");
    }
    let api_server = root.read("etc/kubernetes/manifests/kube-apiserver.yaml");
    assert!(api_server.contains("--secure-port=8443") && api_server.contains("--advertise-address=192.168.76.2"));
    assert!(api_server.contains("image: registry.k8s.io/kube-apiserver:v1."), "{api_server}");
    let images = root.kubeadm("config images list");
    assert!(images.lines().filter(|line| line.starts_with("registry.k8s.io/")).count() >= 6, "{images}");
}

#[test]
#[ignore = "needs a kubeadm binary and root"]
fn kubeadm_passes_the_users_settings_on() {
    let root = Root::new(Flavour::Rich);
    root.kubeadm("init phase control-plane all");
    root.kubeadm("init phase etcd local");
    let manager = root.read("etc/kubernetes/manifests/kube-controller-manager.yaml");
    assert!(manager.contains("--leader-elect=true"), "{manager}");
    let api_server = root.read("etc/kubernetes/manifests/kube-apiserver.yaml");
    for flag in [
        "--v=5",
        "--enable-admission-plugins=NodeRestriction,AlwaysPullImages",
        "--feature-gates=EphemeralContainers=true",
    ] {
        assert!(api_server.contains(flag), "{flag}\n{api_server}");
    }
    assert!(root.read("etc/kubernetes/manifests/etcd.yaml").contains("--quota-backend-bytes=8589934592"));
}
