//! Nodes that leave.

use std::time::Duration;

use skiff_config::NodeName;
use skiff_runner::{Command, Runner};

use crate::BootstrapError;

/// kubectl on a control plane's node.
const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
/// How much longer than kubectl's own limit the command may take.
const GRACE: Duration = Duration::from_secs(15);

/// Moves the pods of a node away, through a control plane. Disruption budgets are respected for as
/// long as `patience` lasts, unless `force` is given; pods of daemon sets stay.
///
/// # Errors
/// [`BootstrapError::Drain`] with what stood in the way.
pub async fn drain<R: Runner>(
    through: &R,
    node: &NodeName,
    patience: Duration,
    force: bool,
) -> Result<(), BootstrapError> {
    // Pods without a controller and what pods keep in memory go with the node, so they do not stop it.
    let words = format!(
        "drain {} --ignore-daemonsets --force --delete-emptydir-data --timeout={}s{}",
        Command::quote(node.as_str()),
        patience.as_secs().max(1),
        if force { " --disable-eviction --grace-period=1" } else { "" }
    );
    kubectl(through, node, &words, patience + GRACE).await
}

/// Lets pods come to a node again.
///
/// # Errors
/// [`BootstrapError::Drain`] if the API server refuses.
pub async fn uncordon<R: Runner>(through: &R, node: &NodeName) -> Result<(), BootstrapError> {
    kubectl(through, node, &format!("uncordon {}", Command::quote(node.as_str())), GRACE).await
}

/// Removes what the API server knows of a node. Nothing happens if that is nothing.
///
/// # Errors
/// [`BootstrapError::Drain`] if the API server refuses.
pub async fn forget<R: Runner>(through: &R, node: &NodeName) -> Result<(), BootstrapError> {
    let words = format!("delete node {} --ignore-not-found", Command::quote(node.as_str()));
    kubectl(through, node, &words, GRACE * 2).await
}

async fn kubectl<R: Runner>(through: &R, node: &NodeName, words: &str, limit: Duration) -> Result<(), BootstrapError> {
    let output = through.output(Command::sh(&format!("exec {KUBECTL} {words}")).timeout(limit)).await;
    let output = output.map_err(|source| BootstrapError::Node { action: format!("kubectl {words}"), source })?;
    if output.status == 0 {
        return Ok(());
    }
    // The last lines repeat in general what was said of one pod before.
    let printed = output.stderr_text();
    let telling = printed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("WARNING"));
    let telling: Vec<&str> = telling.collect();
    let pod = telling.iter().find(|line| line.contains("disruption budget") || line.contains("error when"));
    let detail = pod.or(telling.last()).map_or("kubectl said nothing", |line| line);
    Err(BootstrapError::Drain { node: node.clone(), detail: detail.to_owned() })
}

#[cfg(test)]
mod tests {
    use skiff_runner::FakeRunner;

    use super::*;

    #[tokio::test]
    async fn a_budget_in_the_way_is_told() {
        let said = "WARNING: ignoring DaemonSet-managed Pods: kube-system/kube-proxy-x\n\
                    error when evicting pods/\"web-1\" -n \"default\" (will retry after 5s): Cannot evict pod as it would \
                    violate the pod's disruption budget.\n\
                    error: unable to drain node \"dev-m02\"\nThere are pending nodes to be drained:\n dev-m02\n\
                    error: global timeout reached: 1s\n";
        let runner = FakeRunner::default().reply("drain", 1, "", said);
        let node = "dev-m02".parse().unwrap();
        let error = drain(&runner, &node, Duration::from_secs(1), false).await.unwrap_err();
        assert!(error.to_string().contains("web-1"), "{error}");
        let line = runner.commands()[0].to_shell();
        assert!(line.contains("--timeout=1s") && !line.contains("--disable-eviction"), "{line}");
    }

    #[tokio::test]
    async fn force_asks_no_budget() {
        let runner = FakeRunner::default();
        drain(&runner, &"dev-m02".parse().unwrap(), Duration::from_secs(5), true).await.unwrap();
        assert!(runner.commands()[0].to_shell().contains("--disable-eviction"));
    }
}
