//! A cluster's own bridge network.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use bollard::{
    models::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest,
    },
    query_parameters::{InspectNetworkOptions, ListNetworksOptions},
};
use ipnet::{IpNet, Ipv4Net};
use skiff_config::{ClusterName, ipv6_address, ipv6_beside};
use skiff_driver::{NetworkRequest, NetworkStatus, NodeNetwork};

use crate::{
    DockerDriver, Error, Resource, failure, labels, mtu,
    subnet::{self, Owner, Taken},
};

/// The option that sets a network's MTU. The host's administrator puts it on the default bridge.
const MTU: &str = "com.docker.network.driver.mtu";

/// How many subnets that are taken are told with their owners.
const TOLD: usize = 20;

/// What a network shall be, wherever it lies.
struct Kind<'a> {
    cluster: &'a ClusterName,
    marks: &'a BTreeMap<String, String>,
    ipv6: bool,
    mtu: Option<u32>,
}

impl DockerDriver {
    pub(crate) async fn make_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, Error> {
        let networks = self.networks().await?;
        if let Some(network) = existing(&networks, &request.cluster)? {
            return Ok(network);
        }
        let taken = self.taken(&networks);
        let (cluster, marks) = (&request.cluster, &request.marks);
        let kind = Kind { cluster, marks, ipv6: request.ipv6, mtu: self.mtu(&networks) };
        match request.subnet {
            Some(subnet) => self.make_wanted(&kind, subnet, &taken).await,
            None => self.make_free(&kind, &taken).await,
        }
    }

    /// The largest packet of a new network: what the host's administrator has told the Engine, but no more
    /// than the host's way out takes, which is less than usual with a VPN.
    fn mtu(&self, networks: &[Network]) -> Option<u32> {
        let bridge = networks.iter().find(|network| network.name.as_deref() == Some("bridge"));
        // Files of the kernel, which other systems lack; the Engine then decides alone.
        let table = if self.local { fs::read_to_string("/proc/net/route").unwrap_or_default() } else { String::new() };
        let of_interface =
            |interface: &str| fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok();
        mtu::smallest(bridge.and_then(mtu_of), mtu::ways_out(&table).into_iter().filter_map(of_interface))
    }

    /// Makes the network on the subnet that was asked for, or tells who has it.
    async fn make_wanted(&self, kind: &Kind<'_>, subnet: Ipv4Net, taken: &[Taken]) -> Result<NodeNetwork, Error> {
        if let Some(owner) = subnet::owner(subnet, taken) {
            return Err(Error::SubnetTaken { subnet, owner: owner.to_string() });
        }
        match self.try_subnet(kind, subnet).await? {
            Some(network) => Ok(network),
            None => Err(Error::SubnetTaken { subnet, owner: "another network".to_owned() }),
        }
    }

    /// Makes the network on the first subnet that nobody has. The Engine has the last word: another
    /// skiff may have got there first.
    async fn make_free(&self, kind: &Kind<'_>, taken: &[Taken]) -> Result<NodeNetwork, Error> {
        for subnet in subnet::free(taken) {
            if let Some(network) = self.try_subnet(kind, subnet).await? {
                return Ok(network);
            }
        }
        let owner = |subnet| subnet::owner(subnet, taken).map_or_else(|| "docker".to_owned(), ToString::to_string);
        let mut tried: Vec<String> =
            subnet::candidates().take(TOLD).map(|subnet| format!("{subnet} has {}", owner(subnet))).collect();
        tried.push(format!("and {} more", subnet::candidates().count() - tried.len()));
        Err(Error::NoFreeSubnet { tried })
    }

    /// Makes the network; `None` when the Engine says that the addresses are in use.
    async fn try_subnet(&self, kind: &Kind<'_>, subnet: Ipv4Net) -> Result<Option<NodeNetwork>, Error> {
        let (cluster, gateway) = (kind.cluster, subnet::gateway(subnet));
        let range = |subnet: IpNet, gateway: IpAddr| IpamConfig {
            subnet: Some(subnet.to_string()),
            gateway: Some(gateway.to_string()),
            ..IpamConfig::default()
        };
        let mut ranges = vec![range(subnet.into(), gateway.into())];
        if kind.ipv6 {
            ranges.push(range(ipv6_beside(subnet).into(), ipv6_address(subnet, gateway).into()));
        }
        let request = NetworkCreateRequest {
            name: cluster.to_string(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(ranges), ..Ipam::default() }),
            enable_ipv6: kind.ipv6.then_some(true),
            options: kind.mtu.map(|mtu| HashMap::from([(MTU.to_owned(), mtu.to_string())])),
            labels: Some(labels::network(cluster, kind.marks)),
            ..NetworkCreateRequest::default()
        };
        let docker = self.docker.clone();
        let made = self.making.finish(async move { docker.create_network(request).await }).await;
        let id = match made {
            Ok(made) => made.id,
            Err(error) if failure::is_overlap(&error) => return Ok(None),
            Err(error) => return Err(failure::engine(format!("creating the network {cluster}"))(error)),
        };
        // The Engine allows two networks of one name, and would then not know which one a node means.
        let networks = self.networks().await?;
        let first = networks
            .iter()
            .filter(|network| is_named(network, cluster))
            .min_by_key(|network| (network.created.clone(), network.id.clone()));
        if first.is_some_and(|first| first.id.as_deref() != Some(&id)) {
            self.docker.remove_network(&id).await.map_err(failure::engine("removing a network made twice"))?;
            return existing(&networks, cluster);
        }
        Ok(Some(NodeNetwork { name: cluster.to_string(), subnet, gateway, ipv6: kind.ipv6, mtu: kind.mtu }))
    }

    /// Those of all clusters.
    pub(crate) async fn network_list(&self) -> Result<Vec<NetworkStatus>, Error> {
        let status = |network: &Network| {
            let labels = network.labels.as_ref()?;
            let cluster = labels.get(labels::CLUSTER)?.parse().ok()?;
            Some(NetworkStatus { cluster, marks: labels::marks(labels) })
        };
        Ok(self.networks().await?.iter().filter_map(status).collect())
    }

    async fn networks(&self) -> Result<Vec<Network>, Error> {
        self.docker.list_networks(None::<ListNetworksOptions>).await.map_err(failure::engine("listing networks"))
    }

    /// All addresses that are in use: by the Engine's networks, and by its host where that is this one.
    fn taken(&self, networks: &[Network]) -> Vec<Taken> {
        let mut taken: Vec<Taken> = networks
            .iter()
            .flat_map(|network| {
                let owner = Owner::Network(network.name.clone().unwrap_or_default());
                subnets(network).map(move |subnet| Taken { subnet, owner: owner.clone() })
            })
            .collect();
        if self.local {
            // Files of the kernel, which other systems lack; the Engine then decides alone.
            taken.extend(subnet::routes(&fs::read_to_string("/proc/net/route").unwrap_or_default()));
            taken.extend(subnet::addresses(&fs::read_to_string("/proc/net/fib_trie").unwrap_or_default()));
        }
        taken
    }

    /// Removes the cluster's networks. Containers that are not ours are cut off: a network with
    /// something in it cannot go.
    pub(crate) async fn remove_networks(&self, cluster: &ClusterName) -> Result<(), Error> {
        let networks = self.networks().await?;
        let ours = networks.into_iter().filter(|network| is_labelled(network, cluster));
        for id in ours.filter_map(|network| network.id) {
            let removed = self.docker.remove_network(&id).await;
            let removed = match removed {
                Err(error) if failure::status(&error) == Some(403) => {
                    self.empty_network(&id).await?;
                    self.docker.remove_network(&id).await
                }
                other => other,
            };
            failure::unless(removed, &[404]).map_err(failure::engine(format!("removing the network {cluster}")))?;
        }
        Ok(())
    }

    /// Brings a container whose network was removed into the cluster's new one, at its old address.
    pub(crate) async fn rejoin_network(
        &self,
        cluster: &ClusterName,
        container: &str,
        address: Option<Ipv4Addr>,
    ) -> Result<(), Error> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let cut = self.docker.disconnect_network(cluster.as_str(), request).await;
        failure::unless(cut, &[404]).map_err(failure::engine("disconnecting a container"))?;
        let ipv6 = match address {
            Some(address) => self.ipv6_of(cluster, address).await?,
            None => None,
        };
        let ipam = EndpointIpamConfig {
            ipv4_address: address.map(|ip| ip.to_string()),
            ipv6_address: ipv6.map(|ip| ip.to_string()),
            ..EndpointIpamConfig::default()
        };
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() }),
        };
        let joined = self.docker.connect_network(cluster.as_str(), request).await;
        failure::unless(joined, &[404]).map_err(failure::engine("connecting a container"))
    }

    /// The other address of who has this one in the cluster's network. Where nobody says so, the Engine gives
    /// the first that is free, which may be a node's.
    pub(crate) async fn ipv6_of(&self, cluster: &ClusterName, address: Ipv4Addr) -> Result<Option<Ipv6Addr>, Error> {
        let network = existing(&self.networks().await?, cluster)?.filter(|network| network.ipv6);
        Ok(network.map(|network| ipv6_address(network.subnet, address)))
    }

    async fn empty_network(&self, id: &str) -> Result<(), Error> {
        let inspected = self.docker.inspect_network(id, None::<InspectNetworkOptions>).await;
        let inspected = inspected.map_err(failure::engine("looking into a network"))?;
        for container in inspected.containers.unwrap_or_default().into_keys() {
            let request = NetworkDisconnectRequest { container, force: Some(true) };
            let cut = self.docker.disconnect_network(id, request).await;
            failure::unless(cut, &[404]).map_err(failure::engine("disconnecting a container"))?;
        }
        Ok(())
    }
}

fn is_named(network: &Network, cluster: &ClusterName) -> bool {
    network.name.as_deref() == Some(cluster.as_str())
}

fn is_labelled(network: &Network, cluster: &ClusterName) -> bool {
    network.labels.as_ref().and_then(|labels| labels.get(labels::CLUSTER)).is_some_and(|name| name == cluster.as_str())
}

fn subnets(network: &Network) -> impl Iterator<Item = Ipv4Net> {
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok())
}

/// The cluster's network among all, if it is there.
fn existing(networks: &[Network], cluster: &ClusterName) -> Result<Option<NodeNetwork>, Error> {
    let named: Vec<_> = networks.iter().filter(|network| is_named(network, cluster)).collect();
    let name = cluster.to_string();
    let Some(network) = named.iter().find(|network| is_labelled(network, cluster)) else {
        return match named.first() {
            Some(_) => Err(Error::NameTaken { resource: Resource::Network, name, owner: "something else".to_owned() }),
            None => Ok(None),
        };
    };
    let subnet = subnets(network).next().ok_or_else(|| Error::NetworkUnusable { name: name.clone() })?;
    let config = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten().next();
    let gateway = config.and_then(|config| config.gateway.as_ref()?.parse().ok());
    let gateway = gateway.unwrap_or_else(|| subnet::gateway(subnet));
    let mtu = mtu_of(network).filter(|mtu| *mtu != mtu::ETHERNET);
    Ok(Some(NodeNetwork { name, subnet, gateway, ipv6: network.enable_ipv6 == Some(true), mtu }))
}

/// What a network was told.
fn mtu_of(network: &Network) -> Option<u32> {
    network.options.as_ref()?.get(MTU)?.parse().ok()
}
