//! What an upgrade needs beside the phases that bring a node up.
//!
//! A node moves to another version by a machine of that version's node image on its old data; the
//! phases of [`super`] then write all that kubeadm writes, in the new version's own words. That is
//! what `kubeadm upgrade` would do in place, and unlike it may be repeated and gone back on from any
//! point. Here is the rest: what must be kept to go back, and what the phases do not do to a cluster
//! that had another version.
//!
//! What is kept lies in the node's own data, below [`KEPT`]: what was in `/etc/kubernetes`, and on a
//! control plane etcd's data as it was when the old machine had stopped, copied before a new etcd
//! has seen it. Nothing that anybody was told to be stored is missing in it.

use std::time::Duration;

use skiff_config::KubeVersion;
use skiff_runner::{Command, Runner};

use super::{ADMIN, AFTER_API, KUBE_PROXY, diagnose, node_log, phase, printed, run, wanted};
use crate::{BootstrapError, ClusterConfig, NodeConfig};

/// Where a node keeps what it needs to go back.
const KEPT: &str = "/var/lib/skiff/upgrade";
/// Copying etcd's data may take a while on a slow disk.
const COPY_TIMEOUT: Duration = Duration::from_mins(4);

/// An image under the name that the cluster still knows its predecessor by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The image that the node has.
    pub image: String,
    /// The name that pods ask for.
    pub known_as: String,
}

/// Keeps what is in `/etc/kubernetes` of a machine that is about to go. What an earlier upgrade kept
/// is dropped, unless this one was begun before.
///
/// # Errors
/// [`BootstrapError::Node`] if the node cannot be reached.
pub async fn keep_files<R: Runner>(runner: &R, again: bool) -> Result<(), BootstrapError> {
    let drop = if again { String::new() } else { format!("rm -rf {KEPT}\n") };
    let script = format!(
        "{drop}mkdir -p -m 700 {KEPT}\n\
         [ -e {KEPT}/kubernetes.tar ] || {{ tar -C /etc -cf {KEPT}/kubernetes.tar.new kubernetes\n\
         mv {KEPT}/kubernetes.tar.new {KEPT}/kubernetes.tar; }}\n\
         sync -f {KEPT}"
    );
    ask(runner, "keeping what is in /etc/kubernetes", &script, COPY_TIMEOUT).await
}

/// Keeps etcd's data of a machine on which etcd has not started yet, and gives the machine what it
/// lacks to be part of a cluster in which other nodes have another version: files that people put
/// beside kubeadm's, and images under the names that daemon sets still ask for. May run again: what
/// is kept is from the first time.
///
/// # Errors
/// As for [`keep_files`].
pub async fn keep_state<R: Runner>(runner: &R, aliases: &[Alias]) -> Result<(), BootstrapError> {
    let script = format!(
        "mkdir -p -m 700 {KEPT}\n\
         if [ -d /var/lib/etcd/member ] && [ ! -e {KEPT}/etcd ] && [ ! -e {KEPT}/etcd.used ]; then\n\
         rm -rf {KEPT}/etcd.new\ncp -a --reflink=auto /var/lib/etcd {KEPT}/etcd.new\n\
         sync -f {KEPT}\nmv {KEPT}/etcd.new {KEPT}/etcd\nfi\n{}{}",
        bring_files_back(),
        name_images(aliases)
    );
    ask(runner, "keeping what etcd has stored", &script, COPY_TIMEOUT).await
}

/// Brings a machine that goes back to what was kept: people's files, and with `etcd` what etcd had
/// stored. That happens once, however often this runs: later data is newer.
///
/// # Errors
/// As for [`keep_files`].
pub async fn bring_back<R: Runner>(runner: &R, etcd: bool) -> Result<(), BootstrapError> {
    let restore = if etcd {
        format!(
            "if [ -e {KEPT}/etcd ]; then\nrm -rf /var/lib/etcd/member\n\
             cp -a --reflink=auto {KEPT}/etcd/member /var/lib/etcd/member\n\
             sync -f /var/lib/etcd\nmv {KEPT}/etcd {KEPT}/etcd.used\nfi\n"
        )
    } else {
        String::new()
    };
    ask(runner, "going back to what was kept", &format!("{restore}{}", bring_files_back()), COPY_TIMEOUT).await
}

/// Forgets what was kept, and the names that images had for a while.
///
/// # Errors
/// As for [`keep_files`].
pub async fn forget_kept<R: Runner>(runner: &R, aliases: &[Alias]) -> Result<(), BootstrapError> {
    let names: String = aliases.iter().map(|alias| format!(" {}", Command::quote(&alias.known_as))).collect();
    let untag = if names.is_empty() { names } else { format!("\nctr --namespace k8s.io images remove{names}") };
    ask(runner, "forgetting what was kept", &format!("rm -rf {KEPT}{untag}"), Command::DEFAULT_TIMEOUT).await
}

/// What people put into `/etc/kubernetes` beside the files of kubeadm and skiff, which are there anew.
fn bring_files_back() -> String {
    let own: String = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        .map(|name| format!(" --exclude=kubernetes/manifests/{name}.yaml"))
        .concat();
    format!(
        "if [ -e {KEPT}/kubernetes.tar ]; then \
         tar -C /etc -xf {KEPT}/kubernetes.tar --skip-old-files --exclude=kubernetes/tmp{own}; fi\n"
    )
}

fn name_images(aliases: &[Alias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    // Returns when the images of the node's image are all there.
    let mut script = "systemctl start skiff-node-images\n".to_owned();
    for Alias { image, known_as } in aliases {
        let (image, known_as) = (Command::quote(image), Command::quote(known_as));
        script += &format!("ctr --namespace k8s.io images tag --force {image} {known_as} >/dev/null\n");
    }
    script
}

/// As [`super::finish_control_plane`], for a control plane that comes before other nodes: kube-proxy, which runs
/// on all of them, is left for [`finish_upgrade`].
///
/// # Errors
/// As for [`super::start_control_plane`].
pub async fn finish_upgraded<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let phases = wanted(&AFTER_API, cluster, node).filter(|name| *name != KUBE_PROXY);
    let script = phases.map(phase).collect::<Vec<_>>().join("\n");
    run(runner, "kubeadm init", Command::sh(&script)).await
}

/// The end of an upgrade, through the first control plane: kube-proxy on all nodes, what newer
/// versions have no use for is taken off the nodes, and every node has the version.
///
/// # Errors
/// As for [`super::start_control_plane`]; [`BootstrapError::Version`] if a node has another version.
pub async fn finish_upgrade<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let mut script: Vec<String> = wanted(&[KUBE_PROXY], cluster, node).map(phase).collect();
    if !script.is_empty() {
        script.push(format!("{ADMIN} -n kube-system rollout status daemonset kube-proxy --timeout=3m"));
    }
    script.extend(left_behind(cluster.version()));
    let output = run(runner, "finishing the upgrade", Command::sh(&script.join("\n"))).await?;
    let version = cluster.version();
    let list = format!(
        "{ADMIN} get nodes -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.status.nodeInfo.kubeletVersion}}{{\"\\n\"}}{{end}}'"
    );
    let others = format!(
        "others=$({list} | grep -v ' {version}$' || true)\n[ -z \"$others\" ] || {{ echo \"$others\"; exit 1; }}"
    );
    let checked = runner.output(Command::sh(&others)).await;
    let action = || "asking for the nodes' versions".to_owned();
    let checked = checked.map_err(|source| BootstrapError::Node { action: action(), source })?;
    if checked.status == 0 {
        return Ok(output);
    }
    Err(BootstrapError::Version { wanted: version.clone(), found: printed(&checked).trim().replace('\n', ", ") })
}

/// Commands that take off the nodes what a version has no use for any more.
fn left_behind(version: &KubeVersion) -> Vec<String> {
    let all = "nodes --selector node-role.kubernetes.io/control-plane";
    let mut commands = Vec::new();
    if version.at_least(24) {
        // kubeadm 1.24 takes the old name's label off, 1.25 its taint. One that is not there is no trouble.
        commands.push(format!("{ADMIN} label {all} node-role.kubernetes.io/master-"));
    }
    if version.at_least(25) {
        commands.push(format!("{ADMIN} taint {all} node-role.kubernetes.io/master- || true"));
    }
    commands
}

async fn ask<R: Runner>(runner: &R, action: &str, script: &str, limit: Duration) -> Result<(), BootstrapError> {
    let output = runner.output(Command::sh(script).timeout(limit)).await;
    let output = output.map_err(|source| BootstrapError::Node { action: action.to_owned(), source })?;
    if output.status == 0 {
        return Ok(());
    }
    let printed = printed(&output);
    let cause = diagnose::cause(&printed, &node_log(runner).await);
    Err(BootstrapError::Kubeadm { action: action.to_owned(), cause, printed })
}

#[cfg(test)]
mod tests {
    use skiff_runner::FakeRunner;

    use super::*;

    fn script(runner: &FakeRunner) -> String {
        runner.commands()[0].argv[2].clone()
    }

    #[tokio::test]
    async fn what_etcd_has_stored_is_kept_once_and_comes_back_once() {
        let runner = FakeRunner::default();
        keep_state(&runner, &[]).await.unwrap();
        let keep = script(&runner);
        // Complete or not there: the copy gets its name at the end.
        assert!(keep.contains("[ ! -e /var/lib/skiff/upgrade/etcd ]") && !keep.contains("ctr"), "{keep}");
        assert!(keep.find("sync -f").unwrap() < keep.find("mv /var/lib/skiff/upgrade/etcd.new").unwrap());
        let runner = FakeRunner::default();
        bring_back(&runner, true).await.unwrap();
        assert!(script(&runner).contains("mv /var/lib/skiff/upgrade/etcd /var/lib/skiff/upgrade/etcd.used"));
        let runner = FakeRunner::default();
        bring_back(&runner, false).await.unwrap();
        assert!(!script(&runner).contains("/var/lib/etcd"), "newer data stays");
    }

    #[tokio::test]
    async fn images_are_there_under_the_names_that_pods_ask_for() {
        let alias = Alias { image: "r/kube-proxy:v1.21.14".into(), known_as: "r/kube-proxy:v1.20.2".into() };
        let runner = FakeRunner::default();
        keep_state(&runner, std::slice::from_ref(&alias)).await.unwrap();
        assert!(script(&runner).contains("images tag --force r/kube-proxy:v1.21.14 r/kube-proxy:v1.20.2"));
        let runner = FakeRunner::default();
        forget_kept(&runner, &[alias]).await.unwrap();
        assert!(script(&runner).contains("images remove r/kube-proxy:v1.20.2"));
    }

    #[test]
    fn what_a_version_has_no_use_for_goes_with_it() {
        let words = |minor| left_behind(&KubeVersion::new(1, minor, 0)).join("\n");
        assert_eq!(words(23), "");
        assert!(words(24).contains("label nodes") && !words(24).contains("taint"));
        assert!(words(25).contains("taint nodes"));
    }
}
