//! What a kubelet puts off.

use std::time::Duration;

use skiff_runner::{Command, Runner};

/// Restarts a kubelet that puts off etcd or the API server. One that has run for less than its first
/// back-off puts nothing off: it is only about to start them.
const SCRIPT: &str = "\
ran=$(ps -o etimes= -C kubelet | head -n 1)
test \"${ran:-0}\" -ge 10 || exit 0
for part in etcd kube-apiserver; do
	pgrep -x $part >/dev/null && continue
	systemctl restart kubelet
	echo $part
	exit
done";

/// Has etcd and the API server start at once on a control plane that runs. A kubelet waits longer each
/// time before it starts again what ends again and again, up to five minutes
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts>), and forgets
/// that when it is restarted. Tells which part was put off, if one was and the node can be asked.
pub async fn end_back_off<R: Runner>(runner: &R) -> Option<String> {
    let output = runner.output(Command::sh(SCRIPT).timeout(Duration::from_secs(30))).await.ok()?;
    Some(output.stdout_text().trim().to_owned()).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, process};

    use super::*;

    /// Runs the script on a node where the kubelet has run for so long and only these parts run; tells
    /// what it printed, and whether the kubelet was restarted.
    fn on_a_node(ran: &str, running: &[&str]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let program = |name: &str, text: &str| {
            fs::write(path.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("ps", &format!("echo {ran}"));
        program("pgrep", &format!("case ' {} ' in *\" $2 \"*) ;; *) exit 1 ;; esac", running.join(" ")));
        program("systemctl", &format!("test \"$*\" = 'restart kubelet' && : > {}", path.join("restarted").display()));
        let search = format!("{}:/usr/bin:/bin", path.display());
        let output = process::Command::new("sh").args(["-c", SCRIPT]).env("PATH", search).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), Path::new(&path.join("restarted")).exists())
    }

    #[test]
    fn only_a_kubelet_that_puts_something_off_is_restarted() {
        let all = ["etcd", "kube-apiserver"];
        assert_eq!(on_a_node("300", &all), (String::new(), false), "all runs");
        assert_eq!(on_a_node("9", &[]), (String::new(), false), "the node has just started");
        assert_eq!(on_a_node("", &[]), (String::new(), false), "no kubelet runs");
        assert_eq!(on_a_node("10", &[]), ("etcd\n".to_owned(), true));
        assert_eq!(on_a_node("300", &all[..1]), ("kube-apiserver\n".to_owned(), true));
    }
}
