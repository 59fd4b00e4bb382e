//! A pod network that others make (`--cni FILE|URL`): nodes are ready when it works, so one that cannot come about
//! is told as soon as that is clear, and not when patience is over.

use std::{future::pending, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use skiff_kubeapi::{Condition, KubeError, Manifest};

use crate::{Api, ClusterError, host::api_error};

/// Ends only with a network that will not come about: an image of it cannot be pulled, or it ends again and again.
pub(super) async fn in_vain<A: Api>(api: &A, manifests: Option<&str>, patience: Duration) -> ClusterError {
    let proofs = daemon_sets(manifests.unwrap_or_default()).into_iter().map(|set| async move {
        match api.prove(&set, None, patience).await {
            Err(error @ KubeError::Hopeless { .. }) => error,
            // It works, or its time is up, which others tell of.
            _ => pending().await,
        }
    });
    let mut proofs: FuturesUnordered<_> = proofs.collect();
    match proofs.next().await {
        Some(error) => api_error(error),
        None => pending().await,
    }
}

/// What puts a network onto nodes. Its other parts may need pods, which need the network.
fn daemon_sets(manifests: &str) -> Vec<Condition> {
    let objects = Manifest::read("the pod network", manifests).unwrap_or_default();
    let references = objects.iter().map(Manifest::object).filter(|object| object.kind == "DaemonSet");
    references
        .map(|object| Condition::DaemonSet {
            namespace: object.namespace.unwrap_or_else(|| "default".to_owned()),
            name: object.name,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_comes_onto_nodes_by_its_daemon_sets() {
        let manifests = "apiVersion: v1\nkind: Namespace\nmetadata: {name: net}\n---\n\
                         apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: net}\n---\n\
                         apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: operator, namespace: net}\n";
        let agent = Condition::DaemonSet { namespace: "net".to_owned(), name: "agent".to_owned() };
        assert_eq!(daemon_sets(manifests), [agent]);
        assert!(daemon_sets("").is_empty() && daemon_sets("a: [").is_empty());
    }
}
