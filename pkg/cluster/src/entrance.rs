//! The one way to the API servers of a cluster with several control planes: a port of the host that
//! outlives any of them, so that a user's kubectl does.

use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;
use skiff_config::{ClusterFile, ClusterSpec, EntranceRecord};
use skiff_driver::{Driver, Entrance};

use crate::{ClusterError, Host, host::driver_error, node_spec, nodes::control_planes, port::free_port};

/// True if a cluster that has none ought to have one.
pub(crate) fn is_missing(file: &ClusterFile) -> bool {
    file.status.entrance.is_none() && control_planes(file).nth(1).is_some()
}

/// Gives the cluster's entrance an address and a port that nobody else has. The caller holds the lock of
/// all who do so. Without an address that is free there is none: it is no reason to refuse a cluster.
pub(crate) fn allocate<D, C, K>(
    host: &Host<D, C, K>,
    file: &mut ClusterFile,
    spec: &ClusterSpec,
    subnet: Ipv4Net,
) -> Result<(), ClusterError> {
    host.check_node_name(&spec.name, &spec.name.entrance())?;
    let nodes = &file.status.nodes;
    let free = |address: &Ipv4Addr| nodes.iter().all(|node| node.address != *address);
    // From the other end than the nodes; the gateway has the first one.
    let Some(address) = last_hosts(subnet).find(free) else { return Ok(()) };
    let port = free_port(spec.listen_address, &mut host.reserved_ports(file, spec)?)?;
    file.status.entrance = Some(EntranceRecord { address, port });
    Ok(())
}

/// The last few addresses of a subnet, but never its first, which is the host's.
fn last_hosts(subnet: Ipv4Net) -> impl Iterator<Item = Ipv4Addr> {
    let (first, last) = (u32::from(subnet.network()) + 1, u32::from(subnet.broadcast()));
    (first + 1..last).rev().take(64).map(Ipv4Addr::from)
}

/// Sees to it that the cluster's entrance, if it is to have one, leads to its control planes. Where the
/// driver has no such thing there is none: kubeconfigs lead to a control plane then.
pub(crate) async fn open<D: Driver, C, K>(
    host: &Host<D, C, K>,
    file: &mut ClusterFile,
    spec: &ClusterSpec,
) -> Result<(), ClusterError> {
    let (Some(EntranceRecord { address, port }), Some(first)) = (file.status.entrance, control_planes(file).next())
    else {
        return Ok(());
    };
    let server = |address| SocketAddrV4::new(address, node_spec::endpoint(spec).port);
    let entrance = Entrance {
        cluster: spec.name.clone(),
        image: first.image.clone(),
        address,
        host_ip: spec.listen_address,
        host_port: port,
        servers: control_planes(file).map(|record| server(record.address)).collect(),
    };
    if !host.driver.ensure_entrance(&entrance).await.map_err(driver_error)? {
        file.status.entrance = None;
    }
    Ok(())
}

/// Stops the cluster's entrance, if it has one.
pub(crate) async fn close<D: Driver, C, K>(host: &Host<D, C, K>, file: &ClusterFile) -> Result<(), ClusterError> {
    let name = &file.metadata.name;
    match file.status.entrance {
        Some(_) => host.driver.stop(name, &name.entrance()).await.map_err(driver_error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrance_is_at_the_other_end_of_the_subnet() {
        let hosts = |subnet: &str| last_hosts(subnet.parse().unwrap()).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(hosts("172.30.0.0/24")[..2], ["172.30.0.254", "172.30.0.253"]);
        assert_eq!(hosts("172.30.0.0/29").last().unwrap(), "172.30.0.2");
        assert!(hosts("172.30.0.0/31").is_empty());
    }
}
