//! The kernel's routing table, over netlink.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::TryStreamExt;
use ipnet::IpNet;
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
        wanted: &BTreeMap<IpNet, IpAddr>,
        pod_networks: &[IpNet],
        status: &Status,
    ) -> Result<(), rtnetlink::Error> {
        let present = self.ours(pod_networks).await?;
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

    async fn ours(&self, pod_networks: &[IpNet]) -> Result<Vec<Route>, rtnetlink::Error> {
        let mut routes: Vec<RouteMessage> = Vec::new();
        // A kernel that was built without a family refuses to be asked for it.
        if pod_networks.iter().any(|network| network.addr().is_ipv4()) {
            let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
            routes.extend(self.handle.route().get(query).execute().try_collect::<Vec<_>>().await?);
        }
        if pod_networks.iter().any(|network| network.addr().is_ipv6()) {
            let query = RouteMessageBuilder::<Ipv6Addr>::new().build();
            routes.extend(self.handle.route().get(query).execute().try_collect::<Vec<_>>().await?);
        }
        let ours = routes.iter().filter(|message| message.header.protocol == OURS).filter_map(read);
        Ok(ours.filter(|route| pod_networks.iter().any(|network| network.contains(&route.pods))).collect())
    }

    async fn change(&self, change: &Change) -> Result<(), rtnetlink::Error> {
        match change {
            Change::Set(route) => self.handle.route().add(write(route)).replace().execute().await,
            Change::Remove(route) => self.handle.route().del(write(route)).execute().await,
        }
    }
}

/// A route as the kernel takes it. Both ends are of one family, which the plan sees to.
fn write(route: &Route) -> RouteMessage {
    let (pods, length) = (route.pods.network(), route.pods.prefix_len());
    match (pods, route.via) {
        (IpAddr::V6(pods), IpAddr::V6(via)) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(pods, length).gateway(via).protocol(OURS).build()
        }
        (pods, via) => {
            let ipv4 = |address| if let IpAddr::V4(address) = address { address } else { Ipv4Addr::UNSPECIFIED };
            let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(ipv4(pods), length);
            route.gateway(ipv4(via)).protocol(OURS).build()
        }
    }
}

fn read(message: &RouteMessage) -> Option<Route> {
    let (mut pods, mut via) = (None, None);
    let ip = |address: &RouteAddress| match address {
        RouteAddress::Inet(address) => Some(IpAddr::from(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::from(*address)),
        _ => None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => pods = ip(address),
            RouteAttribute::Gateway(address) => via = ip(address),
            _ => {}
        }
    }
    Some(Route { pods: IpNet::new(pods?, message.header.destination_prefix_length).ok()?, via: via? })
}
