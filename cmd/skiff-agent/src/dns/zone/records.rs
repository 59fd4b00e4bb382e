//! What the zone knows about a cluster: services, their endpoints and ports,
//! cut down to the few fields that DNS answers are made from.

use std::net::IpAddr;

use hickory_proto::rr::Name;

/// A Service, as far as DNS is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// The namespace the service lives in.
    pub(crate) namespace: String,
    /// The name of the service.
    pub(crate) name: String,
    /// Where the service's name leads.
    pub(crate) target: Target,
    /// The ports of the service itself; headless services answer with the ports of their endpoints.
    pub(crate) ports: Vec<Port>,
    /// Whether endpoints count as ready before their pods are.
    pub(crate) publish_not_ready: bool,
}

/// Where a service's name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the virtual addresses of the service, at most one for each family.
    Addresses(Vec<IpAddr>),
    /// To all ready endpoints.
    Headless,
    /// To a name outside, by CNAME.
    External(Name),
}

/// A port of a service or of a slice of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// The name in lower case, empty for an unnamed port.
    pub(crate) name: String,
    /// The protocol in lower case, as it appears in `_tcp`.
    pub(crate) protocol: &'static str,
    /// The port number.
    pub(crate) number: u16,
}

/// Some of the endpoints of one service, as one EndpointSlice lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// The namespace of the slice and of its service.
    pub(crate) namespace: String,
    /// The name of the slice.
    pub(crate) name: String,
    /// The name of the service the endpoints belong to.
    pub(crate) service: String,
    /// The endpoints.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The ports that all these endpoints serve.
    pub(crate) ports: Vec<Port>,
}

/// One endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its addresses, all of one family.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its host name in lower case, where its pod has one.
    pub(crate) hostname: Option<String>,
    /// Whether it takes traffic.
    pub(crate) ready: bool,
}

impl Endpoint {
    /// The label that names this endpoint below its service: the host name, or the address with dashes.
    pub(crate) fn label(&self, address: IpAddr) -> String {
        match &self.hostname {
            Some(hostname) => hostname.clone(),
            None => dashed(address),
        }
    }
}

/// The protocol as a DNS label, for the three protocols that services know.
pub(crate) fn protocol_label(protocol: Option<&str>) -> Option<&'static str> {
    match protocol {
        None | Some("TCP") => Some("tcp"),
        Some("UDP") => Some("udp"),
        Some("SCTP") => Some("sctp"),
        Some(_) => None,
    }
}

/// An address as one DNS label: dots and colons become dashes.
pub(crate) fn dashed(address: IpAddr) -> String {
    let mut label = address.to_string().replace(['.', ':'], "-");
    // A label neither starts nor ends with a dash: `::1` is written `0--1`.
    if label.starts_with('-') {
        label.insert(0, '0');
    }
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

/// The address behind a dashed label, or nothing if it is none.
pub(crate) fn undashed(label: &str) -> Option<IpAddr> {
    label.replace('-', ".").parse().or_else(|_| label.replace('-', ":").parse()).ok()
}
