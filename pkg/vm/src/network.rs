//! Networks of clusters: which subnet belongs to whom. Nothing of the host is changed for them; how
//! machines reach each other is up to the driver.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use skiff_config::ClusterName;
use skiff_driver::{NetworkRequest, NodeNetwork};

use crate::{Lock, VmError, files};

/// How many subnets are tried before giving up.
const TRIES: u8 = 100;

/// A network as it is kept in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    subnet: Ipv4Net,
}

/// The networks of one driver.
#[derive(Debug, Clone)]
pub struct Networks {
    folder: PathBuf,
    /// A subnet that every machine has inside, if any.
    inner: Option<Ipv4Net>,
}

impl Networks {
    pub(crate) fn at(folder: PathBuf, inner: Option<Ipv4Net>) -> Self {
        Self { folder, inner }
    }

    fn file(&self, cluster: &ClusterName) -> PathBuf {
        self.folder.join(format!("{cluster}.json"))
    }

    /// The cluster's network, given out now if it has none.
    ///
    /// # Errors
    /// When the wanted subnet is taken, or none is free.
    pub async fn ensure(&self, request: &NetworkRequest) -> Result<NodeNetwork, VmError> {
        let _lock = Lock::take(&self.folder.join(".lock")).await?;
        if let Some(network) = self.get(&request.cluster)? {
            return Ok(network);
        }
        let taken = self.all()?;
        let subnet = match request.subnet {
            Some(subnet) => self.wanted(subnet, &taken)?,
            None => candidates().find(|subnet| self.wanted(*subnet, &taken).is_ok()).ok_or(VmError::NoFreeSubnet)?,
        };
        files::write_json(&self.file(&request.cluster), &Stored { subnet })?;
        Ok(network(&request.cluster, subnet))
    }

    fn wanted(&self, subnet: Ipv4Net, taken: &[(ClusterName, Ipv4Net)]) -> Result<Ipv4Net, VmError> {
        if let Some(inner) = self.inner.filter(|inner| overlap(*inner, subnet)) {
            return Err(VmError::SubnetInner { subnet, inner });
        }
        match taken.iter().find(|(_, other)| overlap(*other, subnet)) {
            Some((owner, _)) => Err(VmError::SubnetTaken { subnet, owner: owner.clone() }),
            None => Ok(subnet),
        }
    }

    /// The cluster's network, if it has one.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn get(&self, cluster: &ClusterName) -> Result<Option<NodeNetwork>, VmError> {
        let stored: Option<Stored> = files::read_json(&self.file(cluster))?;
        Ok(stored.map(|stored| network(cluster, stored.subnet)))
    }

    fn all(&self) -> Result<Vec<(ClusterName, Ipv4Net)>, VmError> {
        let mut all = Vec::new();
        for name in files::names(&self.folder)? {
            let Some(cluster) = name.strip_suffix(".json").and_then(|name| name.parse::<ClusterName>().ok()) else {
                continue;
            };
            all.extend(self.get(&cluster)?.map(|network| (cluster, network.subnet)));
        }
        Ok(all)
    }

    /// Gives the cluster's subnet back; nothing happens if it has none.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn remove(&self, cluster: &ClusterName) -> Result<(), VmError> {
        files::remove(&self.file(cluster))
    }

    /// Where the networks are kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Where minikube's virtual machines are, then upwards; below it are those of containers.
fn candidates() -> impl Iterator<Item = Ipv4Net> {
    (0..TRIES).map(|n| Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 105 + n, 0), 24))
}

fn network(cluster: &ClusterName, subnet: Ipv4Net) -> NodeNetwork {
    let gateway = subnet.hosts().next().unwrap_or(subnet.network());
    // What leaves the host does so by the host's own sockets, which know the way's limits.
    NodeNetwork { name: cluster.to_string(), subnet, gateway, ipv6: false, mtu: None }
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn request(cluster: &str, subnet: Option<&str>) -> NetworkRequest {
        NetworkRequest {
            cluster: cluster.parse().unwrap(),
            subnet: subnet.map(|subnet| subnet.parse().unwrap()),
            ipv6: false,
            marks: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn subnets_are_given_out_once_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let networks = Networks::at(dir.path().join("networks"), Some("198.18.0.0/24".parse().unwrap()));
        let one = networks.ensure(&request("one", None)).await.unwrap();
        assert_eq!(
            (one.subnet.to_string().as_str(), one.gateway.to_string().as_str()),
            ("192.168.105.0/24", "192.168.105.1")
        );
        assert_eq!(networks.ensure(&request("one", Some("10.1.0.0/24"))).await.unwrap(), one);
        let error = networks.ensure(&request("two", Some("192.168.0.0/16"))).await.unwrap_err();
        assert!(matches!(error, VmError::SubnetTaken { .. }), "{error}");
        let error = networks.ensure(&request("two", Some("198.18.0.0/16"))).await.unwrap_err();
        assert!(matches!(error, VmError::SubnetInner { .. }), "{error}");
        networks.remove(&"one".parse().unwrap()).unwrap();
        assert_eq!(networks.ensure(&request("two", None)).await.unwrap().subnet, one.subnet);
    }
}
