//! Pause and unpause: processes frozen, their memory kept.
//!
//! A pause freezes the machines whole, so that a paused cluster uses no processor at all. With
//! namespaces it works inside the nodes, as minikube's does: the kubelet stops, so that it does not
//! bring back what seems dead, and the containers of those namespaces freeze.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::try_join_all;
use skiff_config::{ClusterFile, ClusterName, NodeName};
use skiff_driver::{Driver, MachineState, NodeStatus};
use skiff_report::Event;
use skiff_runner::{Command, Connect, Runner};
use skiff_store::Store;

use crate::{
    Api, ClusterError, ConnectApi, Host, access,
    host::driver_error,
    identity,
    nodes::ssh_target,
    report::{PauseReport, PauseScope},
};

/// File of the profile that tells that something was paused: the namespaces, one a line, or
/// [`ALL`]. Whether it still is, machines and API server are asked.
const MARKER: &str = "paused";
/// The marker's line for whole machines.
pub(crate) const ALL: &str = "*";
/// Where the control plane lives.
const SYSTEM: &str = "kube-system";
/// How long a node that runs may take to let skiff in.
const SSH_PATIENCE: Duration = Duration::from_secs(30);
/// How long an API server that was thawed may take to answer. It was in the middle of its work, so
/// more than a moment means trouble that `status` will tell.
const API_PATIENCE: Duration = Duration::from_secs(5);

/// Freezes a cluster. One that is frozen stays so.
///
/// # Errors
/// When there is no such cluster, it is off, a namespace cannot be one, or the driver fails.
pub async fn pause<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    scope: PauseScope,
) -> Result<PauseReport, ClusterError> {
    let _lock = host.lock(name).await?;
    freeze(host, name, scope).await
}

/// [`pause`] for who has the cluster's lock.
pub(crate) async fn freeze<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    scope: PauseScope,
) -> Result<PauseReport, ClusterError> {
    let file = host.load(name)?;
    let live = nodes(host, name).await?;
    let running: Vec<&NodeName> = in_state(&live, MachineState::Running).collect();
    if running.is_empty() && in_state(&live, MachineState::Paused).next().is_none() {
        return Err(ClusterError::NotRunning(name.clone()));
    }
    for node in &running {
        stage(host, 0, "Pausing", format!("Pausing node {node}"));
    }
    // First, so that a pause that is cut off half-way can still be told from trouble.
    let before = marker(&host.store, name)?.unwrap_or_default();
    let (message, containers) = match &scope {
        PauseScope::Machines => {
            mark(&host.store, name, before.into_iter().chain([ALL.to_owned()]))?;
            // The control plane goes first: it must not watch its nodes disappear.
            let freeze = running.iter().map(|node| host.driver.pause(name, node));
            try_join_all(freeze).await.map_err(driver_error)?;
            let message = match running.len() {
                0 => format!("Cluster `{name}` is paused already"),
                nodes => format!("Paused cluster `{name}`: {} frozen", count(nodes, "node")),
            };
            (message, None)
        }
        PauseScope::Namespaces(namespaces) => {
            let script = freeze_script(namespaces)?;
            mark(&host.store, name, before.into_iter().chain(namespaces.iter().cloned()))?;
            let frozen = run_everywhere(host, &file, &running, &script).await?;
            (format!("Paused {} in: {}", count(frozen, "container"), namespaces.join(", ")), Some(frozen))
        }
    };
    stage(host, 1, "Done", message);
    Ok(PauseReport { nodes: running.into_iter().map(ToString::to_string).collect(), containers })
}

/// Lets a paused cluster go on, wholly or in some namespaces. Nodes that are off stay off.
///
/// # Errors
/// When there is no such cluster, it is off, or the driver or a node fails.
pub async fn unpause<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    scope: PauseScope,
) -> Result<PauseReport, ClusterError> {
    let _lock = host.lock(name).await?;
    let_go_on(host, name, scope).await
}

/// [`unpause`] for who has the cluster's lock.
pub(crate) async fn let_go_on<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    scope: PauseScope,
) -> Result<PauseReport, ClusterError> {
    let file = host.load(name)?;
    let live = nodes(host, name).await?;
    if live.iter().all(|node| !matches!(node.state, MachineState::Running | MachineState::Paused)) {
        return Err(ClusterError::NotRunning(name.clone()));
    }
    let report = thaw(host, &file, &live, &scope).await?;
    if !report.nodes.is_empty() {
        await_api(host, &file, API_PATIENCE).await;
    }
    let message = match (report.containers, report.nodes.len()) {
        (_, 0) => format!("Cluster `{name}` is not paused"),
        (Some(containers), _) => format!("Unpaused {} of cluster `{name}`", count(containers, "container")),
        (None, nodes) => format!("Unpaused cluster `{name}`: {} thawed", count(nodes, "node")),
    };
    stage(host, 1, "Done", message);
    Ok(report)
}

/// What a start does first: a cluster that is frozen, whole or in part, goes on where it was. A node
/// that does not let skiff in is the start's to repair.
pub(crate) async fn thaw_before_start<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<(), ClusterError> {
    let (Some(_), Some(file)) = (marker(&host.store, name)?, host.store.load(name)?) else { return Ok(()) };
    let live = nodes(host, name).await?;
    if let Err(error) = thaw(host, &file, &live, &PauseScope::Machines).await {
        host.reporter.warn(&format!("what was paused does not go on by itself: {error}"));
        host.store.remove_file(name, MARKER)?;
    }
    Ok(())
}

/// True if the cluster was paused in a way that keeps its API server from answering.
pub(crate) fn freezes_api(store: &Store, name: &ClusterName) -> Result<bool, ClusterError> {
    Ok(marker(store, name)?.is_some_and(|lines| lines.iter().any(|line| line == SYSTEM || line == ALL)))
}

/// True if `pause` was called since the last `unpause`, so that it is worth asking whether the
/// cluster is paused still.
///
/// # Errors
/// When the profile cannot be read.
pub fn was_paused(store: &Store, name: &ClusterName) -> Result<bool, ClusterError> {
    Ok(marker(store, name)?.is_some())
}

/// Thaws frozen machines and, so far as the scope asks, what is frozen inside them.
async fn thaw<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    live: &[NodeStatus],
    scope: &PauseScope,
) -> Result<PauseReport, ClusterError> {
    let name = &file.metadata.name;
    let frozen: Vec<&NodeName> = in_state(live, MachineState::Paused).collect();
    let inside: Vec<String> =
        marker(&host.store, name)?.unwrap_or_default().into_iter().filter(|line| line != ALL).collect();
    let there = || in_state(live, MachineState::Running).chain(frozen.iter().copied());
    for node in there().filter(|node| frozen.contains(node) || !inside.is_empty()) {
        stage(host, 0, "Unpausing", format!("Unpausing node {node}"));
    }
    let thawing = frozen.iter().map(|node| host.driver.start(name, node));
    try_join_all(thawing).await.map_err(driver_error)?;
    let (rest, containers) = if inside.is_empty() {
        (Vec::new(), None)
    } else {
        let (script, rest) = match scope {
            PauseScope::Machines => (thaw_script(None, true)?, Vec::new()),
            PauseScope::Namespaces(namespaces) => {
                let rest: Vec<String> = inside.into_iter().filter(|line| !namespaces.contains(line)).collect();
                (thaw_script(Some(namespaces), rest.is_empty())?, rest)
            }
        };
        let everywhere: Vec<&NodeName> = there().collect();
        (rest, Some(run_everywhere(host, file, &everywhere, &script).await?))
    };
    mark(&host.store, name, rest)?;
    let touched: Vec<String> = if containers.is_some() {
        there().map(ToString::to_string).collect()
    } else {
        frozen.iter().map(ToString::to_string).collect()
    };
    Ok(PauseReport { nodes: touched, containers })
}

/// Runs a script on nodes, all at once, and adds up the numbers it prints.
async fn run_everywhere<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    nodes: &[&NodeName],
    script: &str,
) -> Result<usize, ClusterError> {
    let cluster = &file.metadata.name;
    let each = nodes.iter().map(|node| async move {
        let key = identity::host_key(&host.store, cluster, node)?;
        let key = key.ok_or_else(|| ClusterError::NoSuchNode { cluster: cluster.clone(), node: node.to_string() })?;
        let endpoints = host.driver.endpoints(cluster, node).await.map_err(driver_error)?;
        let target = ssh_target(&host.store, cluster, endpoints.ssh, key);
        let runner = host.connect.connect(&target, SSH_PATIENCE).await?;
        let printed = runner.run(Command::sh(script)).await?.stdout_text();
        Ok::<usize, ClusterError>(printed.trim().parse().unwrap_or_default())
    });
    Ok(try_join_all(each).await?.into_iter().sum())
}

/// Stops the kubelet and freezes the containers of namespaces; prints how many it froze.
fn freeze_script(namespaces: &[String]) -> Result<String, ClusterError> {
    let of_namespaces = containers_of(namespaces)?;
    Ok(format!("systemctl stop kubelet\n{of_namespaces}{}", change("RUNNING", "pause")))
}

/// Thaws containers, of some namespaces or of all, and starts the kubelet when nothing else stays
/// frozen; prints how many it thawed.
fn thaw_script(namespaces: Option<&[String]>, kubelet: bool) -> Result<String, ClusterError> {
    let of_namespaces = namespaces.map_or_else(|| Ok("wanted=\n".to_owned()), containers_of)?;
    let start = if kubelet { "systemctl start kubelet\n" } else { "" };
    Ok(format!("{of_namespaces}{}{start}", change("PAUSED", "resume")))
}

/// Shell that puts the containers of namespaces into `$wanted`. The sandboxes of pods do nothing,
/// so they need not freeze.
fn containers_of(namespaces: &[String]) -> Result<String, ClusterError> {
    let mut filters = String::new();
    for namespace in namespaces {
        if !is_namespace(namespace) {
            return Err(ClusterError::Namespace(namespace.clone()));
        }
        filters += &format!(
            " 'labels.\"io.cri-containerd.kind\"==container,labels.\"io.kubernetes.pod.namespace\"=={namespace}'"
        );
    }
    Ok(format!("wanted=\" $(echo $(ctr -n k8s.io containers ls -q{filters})) \"\n"))
}

/// Shell that pauses or resumes those of `$wanted` (all, if it is empty) that are in a state.
fn change(state: &str, verb: &str) -> String {
    format!(
        "ids=$(ctr -n k8s.io tasks ls | while read -r id pid state; do\n\
         case \"$state${{wanted:- $id }}\" in \"{state} \"*\"$id \"*) echo \"$id\" ;; esac\n\
         done)\n\
         printf '%s\\n' $ids | xargs -r -P 8 -n 1 ctr -n k8s.io tasks {verb}\n\
         set -- $ids\n\
         echo $#\n"
    )
}

/// Names of namespaces are DNS labels.
fn is_namespace(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Waits until a thawed API server answers. If it does not, `status` will tell.
pub(crate) async fn await_api<D, C, K: ConnectApi>(host: &Host<D, C, K>, file: &ClusterFile, patience: Duration) {
    let name = &file.metadata.name;
    let Ok(spec) = file.to_spec() else { return };
    let first = file.status.nodes.first();
    let way = first.and_then(|node| access::access(&host.store, name, spec.listen_address, node).ok().flatten());
    let Some(Ok(api)) = way.map(|way| host.api.client(&way)) else { return };
    if api.ready(patience).await.is_err() {
        host.reporter.warn(&format!("the API server does not answer yet: see `skiff status -p {name}`"));
    }
}

/// What the marker says; `None` if nothing was paused.
pub(crate) fn marker(store: &Store, name: &ClusterName) -> Result<Option<Vec<String>>, ClusterError> {
    let text = identity::read(store, name, MARKER)?;
    Ok(text.map(|text| text.lines().map(str::to_owned).collect()))
}

/// Writes the marker, or removes it when nothing is left to tell.
pub(crate) fn mark(
    store: &Store,
    name: &ClusterName,
    lines: impl IntoIterator<Item = String>,
) -> Result<(), ClusterError> {
    let lines: BTreeSet<String> = lines.into_iter().collect();
    if lines.is_empty() {
        return Ok(store.remove_file(name, MARKER)?);
    }
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    store.write_file(name, MARKER, text.as_bytes())?;
    Ok(())
}

async fn nodes<D: Driver, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<Vec<NodeStatus>, ClusterError> {
    host.driver.list(Some(name)).await.map_err(driver_error)
}

fn in_state(live: &[NodeStatus], state: MachineState) -> impl Iterator<Item = &NodeName> {
    live.iter().filter(move |node| node.state == state).map(|node| &node.name)
}

fn stage<D, C, K>(host: &Host<D, C, K>, number: u8, name: &'static str, message: String) {
    host.reporter.report(Event::Stage { number, total: 1, name, message });
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_namespaces_reach_the_shell() {
        assert!(freeze_script(&["kube-system".into(), "a1".into()]).is_ok());
        for bad in ["", "-a", "a-", "A", "a b", "x';reboot;'", &"a".repeat(64)] {
            assert!(matches!(freeze_script(&[bad.to_owned()]), Err(ClusterError::Namespace(_))), "{bad}");
        }
    }

    #[test]
    fn the_kubelet_stops_before_and_starts_after_the_containers() {
        let freeze = freeze_script(&["kube-system".into()]).unwrap();
        assert!(freeze.find("stop kubelet").unwrap() < freeze.find("tasks pause").unwrap());
        let thaw = thaw_script(None, true).unwrap();
        assert!(thaw.find("tasks resume").unwrap() < thaw.find("start kubelet").unwrap());
        assert!(!thaw_script(Some(&["a".into()]), false).unwrap().contains("kubelet"));
    }
}
