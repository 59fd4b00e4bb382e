//! `--wait`: what a start waits for.

use skiff_cluster::WaitFor;

/// A word of `--wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    All,
    None,
    For(WaitFor),
}

/// What makes a cluster usable.
pub(super) const USABLE: &str = "apiserver,default_sa,dns,node_ready,kubelet";

/// Everything there is to wait for, under minikube's names.
const PARTS: [(&str, WaitFor); 6] = [
    ("apiserver", WaitFor::ApiServer),
    ("system_pods", WaitFor::SystemPods),
    ("default_sa", WaitFor::DefaultServiceAccount),
    ("dns", WaitFor::Dns),
    ("node_ready", WaitFor::NodeReady),
    ("kubelet", WaitFor::Kubelet),
];

pub(super) fn wait_for(text: &str) -> Result<Wait, String> {
    match text {
        "all" | "true" => Ok(Wait::All),
        "none" | "false" => Ok(Wait::None),
        // minikube's words for parts of what the system's pods are here.
        "apps_running" | "extra" => Ok(Wait::For(WaitFor::SystemPods)),
        _ => PARTS.iter().find(|(name, _)| *name == text).map(|(_, part)| Wait::For(*part)).ok_or_else(|| {
            let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            format!("use all, none, or some of {}", names.join(", "))
        }),
    }
}

/// All words of `--wait` together, each part once, in the order of the parts.
pub(super) fn parts(words: &[Wait]) -> Vec<WaitFor> {
    let wanted = |part: &WaitFor| words.contains(&Wait::All) || words.contains(&Wait::For(*part));
    PARTS.iter().map(|(_, part)| *part).filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(words: &str) -> Vec<WaitFor> {
        parts(&words.split(',').map(|word| wait_for(word).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_wait_add_up() {
        assert_eq!(waits("all").len(), PARTS.len());
        assert_eq!(waits("none"), []);
        assert_eq!(waits("dns,apiserver,dns"), [WaitFor::ApiServer, WaitFor::Dns]);
        assert_eq!(waits("apps_running,extra"), [WaitFor::SystemPods]);
        assert_eq!(waits("true"), waits("all"));
    }
}
