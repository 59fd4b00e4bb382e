//! The kernel's routing table, over netlink.

use std::{collections::BTreeMap, net::Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::{
    Handle, RouteMessageBuilder,
    packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol},
};

use super::{
    Status,
    plan::{Change, Route, changes},
};

/// The mark of our routes (`proto` in `ip route`): a number that no routing daemon has.
const OURS: RouteProtocol = RouteProtocol::Other(83);

/// The way to the table.
pub(super) struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Connects to the kernel. Must be called inside a runtime.
    pub(super) fn open() -> Result<Self, std::io::Error> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes our routes exactly the wanted ones. May be cut off anywhere and run again.
    pub(super) async fn bring_in_line(
        &self,
        wanted: &BTreeMap<Ipv4Net, Ipv4Addr>,
        pod_network: Ipv4Net,
        status: &Status,
    ) -> Result<(), rtnetlink::Error> {
        let present = self.ours(pod_network).await?;
        let mut trouble = None;
        for change in changes(wanted, &present) {
            // One node that cannot be reached must not keep the others from being so.
            match self.change(&change).await {
                Ok(()) => status.changed(&change),
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn ours(&self, pod_network: Ipv4Net) -> Result<Vec<Route>, rtnetlink::Error> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let routes: Vec<RouteMessage> = self.handle.route().get(query).execute().try_collect().await?;
        let ours = routes.iter().filter(|message| message.header.protocol == OURS).filter_map(read);
        Ok(ours.filter(|route| pod_network.contains(&route.pods)).collect())
    }

    async fn change(&self, change: &Change) -> Result<(), rtnetlink::Error> {
        let message = |route: &Route| {
            RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(route.pods.network(), route.pods.prefix_len())
                .gateway(route.via)
                .protocol(OURS)
                .build()
        };
        match change {
            Change::Set(route) => self.handle.route().add(message(route)).replace().execute().await,
            Change::Remove(route) => self.handle.route().del(message(route)).execute().await,
        }
    }
}

fn read(message: &RouteMessage) -> Option<Route> {
    let (mut pods, mut via) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => pods = Some(*address),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => via = Some(*address),
            _ => {}
        }
    }
    Some(Route { pods: Ipv4Net::new(pods?, message.header.destination_prefix_length).ok()?, via: via? })
}
