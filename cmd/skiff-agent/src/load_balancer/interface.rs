//! The node's network interface: addresses on it, and telling the neighbours.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::{
    Handle,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressMessage},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage},
    },
};
use tokio::net::UdpSocket;

use crate::{Error, api::chain};

/// The port of "discard": what is sent there is not meant to arrive.
const DISCARD: u16 = 9;

/// The interface that has the node's own address.
pub(super) struct Interface {
    handle: Handle,
    index: u32,
    subnet: Ipv4Net,
}

impl Interface {
    /// Finds the interface by the node's address.
    pub(super) async fn open(node_ip: Ipv4Addr) -> Result<Self, Error> {
        let failed = |source| Error::Interface { address: node_ip, source };
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Netlink)?;
        tokio::spawn(connection);
        let mut found = handle.address().get().set_address_filter(node_ip.into()).execute();
        let message = found.try_next().await.map_err(|error| failed(Some(error)))?.ok_or_else(|| failed(None))?;
        let subnet =
            Ipv4Net::new(node_ip, message.header.prefix_len).map_or_else(|_| node_ip.into(), |net| net.trunc());
        drop(found);
        Ok(Self { handle, index: message.header.index, subnet })
    }

    /// The subnet of the node's address.
    pub(super) fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// Makes `wanted` the only addresses of `range` on the interface. Returns those that were added.
    ///
    /// What fails is logged: it is tried again the next time, and must not keep other addresses from working.
    pub(super) async fn keep_only(&self, range: Ipv4Net, wanted: &BTreeSet<Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
        let present = match self.present(range).await {
            Ok(present) => present,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot list the addresses of the interface");
                return BTreeSet::new();
            }
        };
        for message in &present {
            let Some(address) = local(message).filter(|address| !wanted.contains(address)) else { continue };
            match self.handle.address().del(message.clone()).execute().await {
                Ok(()) => tracing::info!(%address, "this node does not answer for it any more"),
                Err(error) => tracing::warn!(%address, error = %chain(&error), "cannot remove an address"),
            }
        }
        let present: BTreeSet<Ipv4Addr> = present.iter().filter_map(local).collect();
        let mut added = BTreeSet::new();
        for address in wanted.difference(&present) {
            match self.handle.address().add(self.index, IpAddr::V4(*address), 32).execute().await {
                Ok(()) => {
                    tracing::info!(%address, "this node answers for it now");
                    added.insert(*address);
                }
                Err(error) => tracing::warn!(%address, error = %chain(&error), "cannot add an address"),
            }
        }
        added
    }

    /// The single addresses of `range` on the interface; the node's own come with its subnet's prefix.
    async fn present(&self, range: Ipv4Net) -> Result<Vec<AddressMessage>, rtnetlink::Error> {
        let all = self.handle.address().get().set_link_index_filter(self.index).set_prefix_length_filter(32).execute();
        let all: Vec<AddressMessage> = all.try_collect().await?;
        Ok(all.into_iter().filter(|message| local(message).is_some_and(|address| range.contains(&address))).collect())
    }

    /// Tells all who may remember another node's hardware address that `address` is here now.
    ///
    /// The kernel asks for a neighbour's hardware address in the name of the sender, and whoever is asked learns
    /// where the sender is (RFC 826). So each neighbour is forgotten, and sent an empty datagram from the
    /// address: the question that goes before it is the announcement, and takes no right beyond NET_ADMIN.
    pub(super) async fn announce(&self, address: Ipv4Addr) {
        if let Err(error) = self.ask_neighbours(address).await {
            tracing::warn!(%address, error = %chain(&error), "cannot announce an address");
        }
    }

    async fn ask_neighbours(&self, address: Ipv4Addr) -> Result<(), std::io::Error> {
        let socket = UdpSocket::bind((address, 0)).await?;
        let known: Vec<NeighbourMessage> = self
            .handle
            .neighbours()
            .get()
            .set_address_family(AddressFamily::Inet)
            .execute()
            .try_collect()
            .await
            .map_err(std::io::Error::other)?;
        // The host is the first of the subnet; a node that never spoke to it does not know it yet.
        let mut neighbours: BTreeSet<Ipv4Addr> = self.subnet.hosts().next().into_iter().collect();
        for message in known.into_iter().filter(|message| message.header.ifindex == self.index) {
            let Some(neighbour) = resolved(&message).filter(|ip| self.subnet.contains(ip)) else { continue };
            neighbours.insert(neighbour);
            // If it is gone meanwhile, so much the better.
            let _ = self.handle.neighbours().del(message).execute().await;
        }
        for neighbour in neighbours {
            // Nobody answers there; a neighbour that is down is no trouble of ours.
            let _ = socket.send_to(&[], (neighbour, DISCARD)).await;
        }
        Ok(())
    }
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}

/// The address of a neighbour whose hardware address is known.
fn resolved(message: &NeighbourMessage) -> Option<Ipv4Addr> {
    let attributes = &message.attributes;
    attributes.iter().find(|attribute| matches!(attribute, NeighbourAttribute::LinkLayerAddress(_)))?;
    attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })
}
