//! What is worth reading on a node.

use skiff_runner::Command;

/// One log of a node.
pub(super) struct Section {
    /// What it is.
    pub(super) name: &'static str,
    /// What prints it.
    pub(super) command: Command,
}

/// Words that trouble is told with.
const TROUBLE: [&str; 12] = [
    "error",
    "fail",
    "fatal",
    "panic",
    "denied",
    "refused",
    "unable",
    "cannot",
    "timed out",
    "oom",
    "backoff",
    "no space",
];

/// True for a line that looks like trouble.
pub(super) fn is_problem(line: &str) -> bool {
    let line = line.to_lowercase();
    TROUBLE.iter().any(|word| line.contains(word))
}

/// Everything there is to read on a node, the most telling first.
pub(super) fn sections(length: u32) -> Vec<Section> {
    let unit = |unit: &str| format!("journalctl --no-pager --no-hostname --lines={length} --unit={unit}");
    let kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s";
    // The parts of the control plane log into files, which are there even when the API server is not.
    let pods =
        format!("cd /var/log/containers && for log in *.log; do echo \"-- $log\"; tail -n {length} \"$log\"; done");
    [
        ("pods", format!("{kubectl} get pods --all-namespaces -o wide")),
        ("describe nodes", format!("{kubectl} describe nodes")),
        ("containers", "ctr --namespace k8s.io tasks ls".to_owned()),
        ("kubelet", unit("kubelet")),
        ("containerd", unit("containerd")),
        ("container logs", pods),
        ("dmesg", format!("dmesg --ctime | tail -n {length}")),
        ("kernel", "uptime; uname -a; cat /etc/os-release".to_owned()),
    ]
    .into_iter()
    .map(|(name, script)| Section { name, command: Command::sh(&script) })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_found_in_any_spelling() {
        for line in ["E1122 Failed to pull", "ImagePullBackOff", "connection REFUSED", "OOM killer"] {
            assert!(is_problem(line), "{line}");
        }
        assert!(!is_problem("I1122 started container"));
    }
}
