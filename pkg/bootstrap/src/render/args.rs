//! What kubeadm is told on its command line.

use skiff_config::Component;

use crate::{ClusterConfig, KUBEADM_CONFIG, NodeConfig, Role};

/// Checks that cannot pass in a node of skiff's, for when `preflight` is run all the same: the
/// machine is shared, and what kubeadm finds there already is what skiff has put there.
const EXPECTED_FINDINGS: [&str; 9] = [
    "NumCPU",
    "Mem",
    "Swap",
    "FileExisting-crictl",
    "DirAvailable--var-lib-etcd",
    "DirAvailable--etc-kubernetes-manifests",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "FileAvailable--etc-kubernetes-pki-ca.crt",
    "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables",
];

/// Phases to skip and findings to ignore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeadmArgs {
    /// `--skip-phases`.
    pub skip_phases: Vec<String>,
    /// `--ignore-preflight-errors`.
    pub ignore_preflight_errors: Vec<String>,
}

impl KubeadmArgs {
    /// The arguments for `kubeadm init` or `kubeadm join` on this node, the user's settings added.
    #[must_use]
    pub fn of(cluster: &ClusterConfig, node: &NodeConfig) -> Self {
        // skiff checks hosts itself; kubeadm's checks ask for tools no node needs and pull images.
        let mut skip_phases = vec!["preflight".to_owned()];
        if node.role == Role::FirstControlPlane {
            // It restarts the kubelet only to point its kubeconfig at a rotated certificate.
            skip_phases.push("kubelet-finalize".to_owned());
            if !cluster.coredns {
                skip_phases.push("addon/coredns".to_owned());
            }
        }
        let mut ignore: Vec<String> = EXPECTED_FINDINGS.map(str::to_owned).into();
        if node.host.nested {
            ignore.push("SystemVerification".to_owned());
        }
        for (key, value) in cluster.settings(Component::Kubeadm) {
            let list = match key {
                "skip-phases" => &mut skip_phases,
                "ignore-preflight-errors" => &mut ignore,
                _ => continue,
            };
            for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                if !list.iter().any(|present| present == word) {
                    list.push(word.to_owned());
                }
            }
        }
        // kubeadm refuses `all` beside names.
        if ignore.iter().any(|word| word.eq_ignore_ascii_case("all")) {
            ignore = vec!["all".to_owned()];
        }
        Self { skip_phases, ignore_preflight_errors: ignore }
    }

    /// As flags, the one that names the configuration file first.
    #[must_use]
    pub fn to_flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--config={KUBEADM_CONFIG}")];
        let lists = [("skip-phases", &self.skip_phases), ("ignore-preflight-errors", &self.ignore_preflight_errors)];
        for (name, words) in lists {
            if !words.is_empty() {
                flags.push(format!("--{name}={}", words.join(",")));
            }
        }
        flags
    }
}
