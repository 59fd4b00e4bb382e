//! Behaviours of the driver as a whole and of its networks.

use skiff_report::Diagnose;

use super::{
    Trial,
    trial::{request, subnet},
};
use crate::NodeImages;

/// `check` tells of a provider with processors and memory.
pub async fn check_tells_what_the_driver_can_do<D: NodeImages>(trial: &Trial<D>) {
    let capabilities = trial.driver.check().await.expect("a provider that works");
    assert!(capabilities.cpus > 0 && capabilities.memory > 64 << 20, "{capabilities:?}");
}

/// Asking again returns the same network.
pub async fn network_is_made_once<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let first = trial.network(&cluster).await;
    assert!(first.subnet.contains(&first.gateway), "{first:?}");
    assert_eq!(trial.network(&cluster).await, first);
}

/// A network is not changed by asking for another subnet.
pub async fn network_keeps_its_subnet<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let first = trial.network(&cluster).await;
    let other = request(&cluster, Some(subnet()));
    assert_eq!(trial.driver.ensure_network(&other).await.expect("the network there is"), first);
}

/// Two clusters that ask at the same time get subnets of their own.
pub async fn networks_made_at_once_do_not_overlap<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let (first, second) = futures_util::join!(trial.network(&first), trial.network(&second));
    assert_ne!(first.subnet, second.subnet);
    assert!(!first.subnet.contains(&second.gateway) && !second.subnet.contains(&first.gateway));
}

/// A subnet that another cluster has is refused as a conflict, and nothing is made.
pub async fn taken_subnet_is_refused<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let network = trial.network(&first).await;
    let taken = request(&second, Some(network.subnet));
    let error = trial.driver.ensure_network(&taken).await.expect_err("a conflict");
    assert_eq!(error.reason().id, "IF_SUBNET_CONFLICT");
    assert!(error.to_string().contains(first.as_str()), "does not name the owner: {error}");
    assert_ne!(trial.network(&second).await.subnet, network.subnet);
}

/// `delete_remains` frees the subnet, forgets nodes without a machine and may be repeated.
pub async fn remains_of_a_cluster_go_together<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let subnet = Some(subnet());
    trial.driver.ensure_network(&request(&first, subnet)).await.expect("a network");
    let spec = trial.node(&first, false).await;
    trial.driver.delete(&first, &spec.name, true).await.expect("deleted");
    for _ in 0..2 {
        trial.driver.delete_remains(&first).await.expect("no remains");
        assert_eq!(trial.driver.list(Some(&first)).await.expect("nodes"), []);
    }
    let again = trial.driver.ensure_network(&request(&second, subnet)).await.expect("a network");
    assert_eq!(again.subnet, spec.network.subnet);
}
