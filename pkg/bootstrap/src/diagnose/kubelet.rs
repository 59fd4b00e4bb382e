//! What the kubelet says.

use super::{
    Cause, KubeletTrouble,
    evidence::{Evidence, after, message},
};

/// Troubles that the kubelet names.
pub(super) fn cause(evidence: &Evidence<'_>) -> Option<Cause> {
    evidence.units.iter().find_map(|line| trouble(line)).map(Cause::Kubelet)
}

fn trouble(line: &str) -> Option<KubeletTrouble> {
    let has = |words: &str| line.contains(words);
    if has("expected cgroupsPath to be of format") || has("is different from docker cgroup driver") {
        Some(KubeletTrouble::CgroupDriver)
    } else if has("cgroup v1") && (has("not run on a host") || has("unsupported")) {
        Some(KubeletTrouble::CgroupV1)
    } else if has("running with swap on is not supported") {
        Some(KubeletTrouble::Swap)
    } else if line.starts_with("containerd.service: Failed with result")
        || (fatal(line) && (has("containerd.sock") || has("runtime.v1")))
    {
        Some(KubeletTrouble::Runtime)
    } else {
        let detail = after(line, "failed to load kubelet config file")
            .or_else(|| after(line, "failed to load Kubelet config file"))
            .or_else(|| after(line, "failed to validate kubelet configuration"))?;
        let detail = after(detail, "error: ").unwrap_or(detail).trim_matches(['"', ',', ' ', ':']);
        Some(KubeletTrouble::Config { detail: detail.to_owned() })
    }
}

/// The kubelet ended without naming a trouble known here, or kubeadm never reached it.
pub(super) fn stopped(evidence: &Evidence<'_>) -> Option<Cause> {
    let last_words = evidence.units.iter().rfind(|line| fatal(line)).map(|line| {
        let text = after(line, "err=").unwrap_or_else(|| message(line));
        text.trim_matches('"').to_owned()
    });
    let ended = evidence.units.iter().any(|line| line.starts_with("kubelet.service: Failed with result"));
    let unheard = evidence.printed.iter().any(|line| line.contains("kubelet isn't running or healthy"));
    (last_words.is_some() || ended || unheard).then_some(Cause::Kubelet(KubeletTrouble::Stopped { detail: last_words }))
}

/// A line that a kubelet writes before it ends.
fn fatal(line: &str) -> bool {
    (line.starts_with('F') && message(line) != line)
        || line.contains("\"command failed\"")
        || line.contains("Failed to run kubelet")
        || line.contains("failed to run Kubelet")
}
