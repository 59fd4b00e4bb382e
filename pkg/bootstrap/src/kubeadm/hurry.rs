//! What a node puts off for minutes after its parts were killed, or a disk was full.

use std::time::Duration;

use skiff_runner::{Command, Runner};

/// Does what [`hurry`] says. A kubelet that has not run for long puts nothing off for long, and where nothing
/// was wrong etcd and the API server started at nearly the same time, on slow machines too.
const SCRIPT: &str = "\
ran() { ps -o etimes= -C \"$1\" | sort -n | head -n 1; }
kubelet=$(ran kubelet)
test \"${kubelet:-0}\" -ge 30 || exit 0
why=
if test -e /etc/kubernetes/manifests/kube-apiserver.yaml; then
	etcd=$(ran etcd)
	api=$(ran kube-apiserver)
	test -n \"$etcd\" || why=etcd
	test -n \"$api\" || why=\"${why:-kube-apiserver}\"
	if test \"${api:-0}\" -gt $((${etcd:-0} + 20)); then
		pkill -KILL -x kube-apiserver
		why=\"${why:-kube-apiserver}\"
	fi
fi
test -n \"$why\" || why=$(journalctl -u kubelet -o cat --since=-30s |
	sed -n 's/.*restarting failed container=\\([^ ]*\\) pod=[^ ]*_kube-system(.*/\\1/p' | tail -n 1)
test -n \"$why\" || exit 0
systemctl restart kubelet
echo \"$why\"";

/// Has what a running node puts off happen at once; tells which part that was, if there was one and the
/// node can be asked.
///
/// - A kubelet waits longer each time before it starts again what ended again and again, up to five
///   minutes (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts>). It
///   forgets that when it is restarted.
/// - Before a kubelet starts etcd it asks the API server for etcd's pod. An API server without etcd
///   lets such a question wait until its time is over, half a minute; without an API server it is
///   answered at once.
/// - An API server that has lost etcd tries more and more seldom to reach it again, up to every two minutes
///   (<https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md>).
pub async fn hurry<R: Runner>(runner: &R) -> Option<String> {
    let output = runner.output(Command::sh(SCRIPT).timeout(Duration::from_secs(30))).await.ok()?;
    Some(output.stdout_text().trim().to_owned()).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process};

    use super::*;

    /// Runs the script on a node where parts have run for so many seconds; tells what it printed and did.
    fn on_a_node(control_plane: bool, ran: &[(&str, u32)], journal: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let done = path.join("done");
        let program = |name: &str, text: &str| {
            fs::write(path.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        let cases: String = ran.iter().map(|(part, seconds)| format!("{part}) echo {seconds} ;; ")).collect();
        program("ps", &format!("case $4 in {cases} esac"));
        program("journalctl", &format!("cat <<'END'\n{journal}\nEND"));
        for name in ["systemctl", "pkill"] {
            program(name, &format!("echo {name} \"$@\" >>{}", done.display()));
        }
        let manifest = if control_plane { done.with_file_name("ps") } else { done.with_file_name("absent") };
        let script = SCRIPT.replace("/etc/kubernetes/manifests/kube-apiserver.yaml", &manifest.to_string_lossy());
        let search = format!("{}:/usr/bin:/bin", path.display());
        let output = process::Command::new("sh").args(["-c", &script]).env("PATH", search).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(done).unwrap_or_default())
    }

    const RESTART: &str = "systemctl restart kubelet\n";
    const KILL: &str = "pkill -KILL -x kube-apiserver\n";

    #[test]
    fn a_node_that_puts_nothing_off_is_left_alone() {
        let nothing = (String::new(), String::new());
        for (control_plane, ran) in [
            (true, &[("kubelet", 300), ("etcd", 297), ("kube-apiserver", 300)][..]),
            (true, &[("kubelet", 29)]),
            (true, &[]),
            (false, &[("kubelet", 300)]),
        ] {
            assert_eq!(on_a_node(control_plane, ran, "Started kubelet."), nothing, "{ran:?}");
        }
        let pod = "back-off 5m0s restarting failed container=app pod=shop_default(1)";
        assert_eq!(on_a_node(false, &[("kubelet", 300)], pod), nothing, "it is its owner's to mend");
    }

    #[test]
    fn what_is_put_off_happens_at_once() {
        let told = |part: &str, done: &str| (format!("{part}\n"), done.to_owned());
        let kill_and_restart = format!("{KILL}{RESTART}");
        assert_eq!(on_a_node(true, &[("kubelet", 30)], ""), told("etcd", RESTART));
        assert_eq!(on_a_node(true, &[("kubelet", 99), ("etcd", 99)], ""), told("kube-apiserver", RESTART));
        assert_eq!(on_a_node(true, &[("kubelet", 99), ("kube-apiserver", 99)], ""), told("etcd", &kill_and_restart));
        let outlived = [("kubelet", 300), ("etcd", 90), ("kube-apiserver", 120)];
        assert_eq!(on_a_node(true, &outlived, ""), told("kube-apiserver", &kill_and_restart));
        let journal =
            "pod_workers.go:191] \"back-off 40s restarting failed container=dns pod=skiff-dns-1_kube-system(2)\"";
        assert_eq!(on_a_node(false, &[("kubelet", 300)], journal), told("dns", RESTART));
    }
}
