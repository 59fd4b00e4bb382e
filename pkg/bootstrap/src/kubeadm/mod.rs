//! Runs kubeadm on a node, phase by phase.
//!
//! `kubeadm init` as one command waits for each part in turn. Its phases are commands of their own
//! (<https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-init-phase/>), so what does
//! not depend on each other runs at the same time here: first everything up to the kubelet's start,
//! then each part of the control plane when it can use it, at last the phases that talk to the API
//! server.

mod drain;
mod etcd;
mod evacuate;
mod hurry;
mod join;
mod upgrade;

use std::time::{Duration, Instant};

use skiff_runner::{Command, Output, RunError, Runner};

use crate::{
    BootstrapError, ClusterConfig, KUBEADM_CONFIG, NodeConfig, diagnose,
    render::{self, KubeadmArgs},
};

pub use drain::{drain, forget, uncordon};
pub use etcd::{EtcdStart, Member, add_member, has_etcd_data, remove_member};
pub use evacuate::{Evacuation, come_back, evacuate};
pub use hurry::hurry;
pub use join::{
    announce, join_control_plane, join_etcd, join_worker, reconfigure_kubelet, start_api_server, take_turns,
};
pub use upgrade::{Alias, bring_back, finish_upgrade, finish_upgraded, forget_kept, keep_files, keep_state};

const ETCD: &str = "etcd local";
const API_SERVER: &str = "control-plane apiserver";
const KUBELET: &str = "kubelet-start";
/// Phases that only write files and start the kubelet, in kubeadm's own order but for the kubelet,
/// which comes last: it then finds its static pods at once instead of at its next look.
const BEFORE_API: [&str; 3] = [ETCD, API_SERVER, KUBELET];
/// Waits for the API server by itself, with a question a second; so it is started early and has only
/// its own start behind it when the server is ready. Not before the server's port is open, though:
/// seconds before the server answers, but from then on a connection waits instead of failing.
const CONTROLLER_MANAGER: &str = "control-plane controller-manager";
/// Turned away by an API server that is not ready, it comes back later and later. So it begins to
/// start when the server answers; by the time it has its own question, the server is ready or nearly so.
const SCHEDULER: &str = "control-plane scheduler";
/// Phases for when the API server is ready; none needs another's result.
const AFTER_API: [&str; 4] = [KUBE_PROXY, "upload-config all", MARK, "bootstrap-token"];
/// Labels and taints a control plane's node.
const MARK: &str = "mark-control-plane";
/// Pods reach services through it.
const KUBE_PROXY: &str = "addon kube-proxy";

/// kubectl on a control plane's node, as its administrator.
const ADMIN: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// Where etcd's phase is told with whom it begins. Gone at the next start of the node, as it should be.
const ETCD_CONFIG: &str = "/run/skiff-etcd.yaml";

/// How long one phase may take, however slow the host: some restart the kubelet or wait for the node. What
/// can be told to have failed ends a phase at once, so that only what hangs takes so long.
const PHASE_TIMEOUT: Duration = Duration::from_mins(12);

/// How long a phase is run again that only was not answered in time, and the pause before that.
const SLOWNESS: Duration = Duration::from_mins(6);
const AGAIN: Duration = Duration::from_secs(1);

/// Writes the manifests of etcd and API server and starts the kubelet. Returns what kubeadm printed.
///
/// May run again on a node where it ran before: manifests are overwritten, data stays.
///
/// # Errors
/// [`BootstrapError::Kubeadm`] with the cause, [`BootstrapError::Node`] if the node cannot be reached.
pub async fn start_control_plane<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
    etcd: &EtcdStart,
) -> Result<String, BootstrapError> {
    let command = before_api(&BEFORE_API, cluster, node, etcd)?;
    let printed = run(runner, "kubeadm init", command).await?;
    match diagnose::unknown_setting(&printed, &cluster.spec.extra_config) {
        Some(cause) => Err(BootstrapError::Kubeadm { action: "kubeadm init".to_owned(), cause, printed }),
        None => Ok(printed),
    }
}

/// The phases as one command. Where etcd does not begin alone, its phase reads a file of its own.
fn before_api(
    phases: &[&'static str],
    cluster: &ClusterConfig,
    node: &NodeConfig,
    etcd: &EtcdStart,
) -> Result<Command, BootstrapError> {
    let script = |line: fn(&str) -> String| wanted(phases, cluster, node).map(line).collect::<Vec<_>>().join("\n");
    if *etcd == EtcdStart::Alone {
        return Ok(Command::sh(&script(phase)));
    }
    let line = |name: &str| if name == ETCD { phase_with(name, ETCD_CONFIG) } else { phase(name) };
    let script = format!("umask 077; cat > {ETCD_CONFIG}\n{}", script(line));
    Ok(Command::sh(&script).stdin(render::etcd_config(cluster, node, etcd)?))
}

/// Writes the controller manager's manifest as soon as the API server's port is open. Returns what kubeadm printed. May run again.
///
/// # Errors
/// As for [`start_control_plane`].
pub async fn start_controller_manager<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let port = cluster.spec.apiserver.port;
    let wait = until_listening(port);
    let phases = wanted(&[CONTROLLER_MANAGER], cluster, node).map(phase);
    run(runner, "kubeadm init", Command::sh(&[wait].into_iter().chain(phases).collect::<Vec<_>>().join("\n"))).await
}

/// Waits until somebody listens on a port, or for minutes: an API server that never does is somebody else's to
/// tell. The shell looks by itself, as programs started twenty times a second hold up what starts meanwhile,
/// above all in a machine that is emulated.
fn until_listening(port: u16) -> String {
    format!(
        "listening() {{\n\
         for table in /proc/net/tcp /proc/net/tcp6; do\n\
         [ -r $table ] || continue\n\
         while read -r _ local _ state _; do [ \"${{local##*:}} $state\" != '{port:04X} 0A' ] || return 0; done <$table\n\
         done\n\
         return 1\n\
         }}\n\
         for _ in $(seq 6000); do listening && break; sleep 0.05; done"
    )
}

/// Writes the scheduler's manifest: to be called when the API server begins to answer. Returns what
/// kubeadm printed. May run again.
///
/// # Errors
/// As for [`start_control_plane`].
pub async fn start_scheduler<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let phases = wanted(&[SCHEDULER], cluster, node).map(phase).collect::<Vec<_>>();
    run(runner, "kubeadm init", Command::sh(&phases.join("\n"))).await
}

/// Does what needs the API server: kube-proxy, configuration in the cluster, labels, join tokens.
/// Returns what kubeadm printed. May run again.
///
/// # Errors
/// As for [`start_control_plane`].
pub async fn finish_control_plane<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    // On few processors the others must not hold up the pods that start meanwhile.
    finish(runner, cluster, node, |name| if name == KUBE_PROXY { phase(name) } else { nice(&phase(name)) }).await
}

/// As [`finish_control_plane`], where a control plane was before: what runs already goes on with what changed.
///
/// # Errors
/// As for [`start_control_plane`].
pub async fn finish_control_plane_again<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> Result<String, BootstrapError> {
    let port = cluster.spec.apiserver.port;
    let service = run(runner, "leading pods to the API server", Command::sh(&service_again(port)));
    let script = |name: &str| if name == KUBE_PROXY { proxy_again() } else { nice(&phase(name)) };
    let (printed, _) = futures_util::future::try_join(finish(runner, cluster, node, script), service).await?;
    Ok(printed)
}

async fn finish<R: Runner>(
    runner: &R,
    cluster: &ClusterConfig,
    node: &NodeConfig,
    script: impl Fn(&str) -> String,
) -> Result<String, BootstrapError> {
    let script = &script;
    let runs = wanted(&AFTER_API, cluster, node).map(|name| async move {
        run(runner, &format!("kubeadm init phase {name}"), Command::sh(&script(name))).await
    });
    let printed = futures_util::future::try_join_all(runs).await?;
    Ok(printed.concat())
}

fn nice(command: &str) -> String {
    format!("nice -n 19 {command}")
}

/// A lone API server writes its port into the endpoints of its service once, and never corrects it:
/// <https://github.com/kubernetes/kubernetes/blob/v1.20.2/pkg/controlplane/reconcilers/lease.go>.
fn service_again(port: u16) -> String {
    let correct = |kind: &str, path: &str| {
        format!(
            "{ADMIN} patch {kind} kubernetes --type=json \
             -p '[{{\"op\": \"replace\", \"path\": \"{path}\", \"value\": {port}}}]' || true"
        )
    };
    format!(
        "port=$({ADMIN} get endpoints kubernetes -o jsonpath='{{.subsets[0].ports[0].port}}' || true)\n\
         [ -z \"$port\" ] || [ \"$port\" = {port} ] || {{\n{}\n{}\n}}",
        correct("endpoints", "/subsets/0/ports/0/port"),
        correct("endpointslice", "/ports/0/port"),
    )
}

/// kube-proxy reads its way to the API server once, at its start. Where that has changed its pods are made anew.
fn proxy_again() -> String {
    format!(
        "way() {{ {ADMIN} -n kube-system get configmap kube-proxy -o jsonpath='{{.data.kubeconfig\\.conf}}' || true; }}\n\
         before=$(way)\n{}\n\
         [ \"$before\" = \"$(way)\" ] || {ADMIN} -n kube-system rollout restart daemonset kube-proxy",
        phase(KUBE_PROXY)
    )
}

/// The phases less those the user wants skipped, by their own name or their parent's.
fn wanted<'a>(
    phases: &'a [&'static str],
    cluster: &ClusterConfig,
    node: &NodeConfig,
) -> impl Iterator<Item = &'static str> + use<'a> {
    let skipped = KubeadmArgs::of(cluster, node).skip_phases;
    phases.iter().copied().filter(move |phase| {
        let path = phase.replace(' ', "/");
        let parent = phase.split(' ').next().unwrap_or(phase);
        !skipped.iter().any(|skip| *skip == path || skip == parent)
    })
}

fn phase(name: &str) -> String {
    phase_with(name, KUBEADM_CONFIG)
}

fn phase_with(name: &str, config: &str) -> String {
    format!("kubeadm init phase {name} --config {config}")
}

/// Runs phases. kubeadm gives an API server ten seconds for an answer, which one that starts on a slow host may
/// need longer for: that is no reason to give up, and every phase may run again.
async fn run<R: Runner>(runner: &R, action: &str, command: Command) -> Result<String, BootstrapError> {
    let (begun, command) = (Instant::now(), command.timeout(PHASE_TIMEOUT));
    loop {
        let output = runner.output(command.clone()).await;
        let output = output.map_err(|source| BootstrapError::Node { action: action.to_owned(), source })?;
        let printed = printed(&output);
        if output.status == 0 {
            return Ok(printed);
        }
        if !diagnose::lost_patience(&printed) || begun.elapsed() >= SLOWNESS {
            let cause = diagnose::cause(&printed, &node_log(runner).await);
            return Err(BootstrapError::Kubeadm { action: action.to_owned(), cause, printed });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// All that a command printed.
fn printed(output: &Output) -> String {
    format!("{}{}", output.stdout_text(), output.stderr_text())
}

/// Why a control plane that kubeadm started does not answer, from the node's own logs.
pub async fn explain<R: Runner>(runner: &R) -> diagnose::Cause {
    diagnose::cause("", &node_log(runner).await)
}

/// How far a control plane that starts has got: something that changes while it gets on. Nothing if no
/// part of it has started, or the node cannot be asked.
pub async fn progress<R: Runner>(runner: &R) -> Option<String> {
    let look = Command::sh("stat -c '%n %s' /var/log/pods/kube-system_*/*/*.log").timeout(Duration::from_secs(10));
    runner.output(look).await.ok().map(|output| output.stdout_text()).filter(|text| !text.is_empty())
}

/// Why waiting for a node that starts does not help, if so.
pub async fn hopeless<R: Runner>(runner: &R) -> Option<diagnose::Cause> {
    let look = Command::sh(diagnose::LOOKOUT_LOG).timeout(Duration::from_secs(10));
    // A node too busy to be asked may still come.
    let output = runner.output(look).await.ok()?;
    diagnose::hopeless(&output.stdout_text())
}

/// The end of what kubelet, containerd and the control plane's containers wrote: where the reason
/// stands for whatever kubeadm only saw time out.
async fn node_log<R: Runner>(runner: &R) -> String {
    let command = Command::sh(diagnose::NODE_LOG).timeout(Duration::from_secs(10));
    let output: Result<_, RunError> = runner.output(command).await;
    // The log helps to explain a failure that is told anyway; without it the explanation is shorter.
    output.map(|output| output.stdout_text()).unwrap_or_default()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
