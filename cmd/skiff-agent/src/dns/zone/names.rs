//! The names below the cluster domain and what each of them stands for.
//! Pure syntax: whether the thing exists is decided in `answer`.

use std::net::IpAddr;

use hickory_proto::rr::Name;

use super::records::undashed;

/// What a name inside the cluster domain stands for. Labels are in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// The cluster domain itself.
    Apex,
    /// `dns-version`: the version of the schema.
    SchemaVersion,
    /// `ns.dns`: the name server that the apex names.
    NameServer,
    /// `dns`, `svc` or `pod`: names that only have other names below them.
    Branch,
    /// `<ns>.svc` or `<ns>.pod`.
    Namespace(&'a str),
    /// `<service>.<ns>.svc`.
    Service(ServiceRef<'a>),
    /// `<hostname>.<service>.<ns>.svc`.
    Endpoint(ServiceRef<'a>, &'a str),
    /// `_<proto>.<service>.<ns>.svc`.
    Protocol(ServiceRef<'a>, &'a str),
    /// `_<port>._<proto>.<service>.<ns>.svc`.
    Port(ServiceRef<'a>, PortRef<'a>),
    /// `<a>-<b>-<c>-<d>.<ns>.pod`.
    Pod(&'a str, IpAddr),
    /// Any other name: it does not exist.
    Unknown,
}

/// A service by namespace and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceRef<'a> {
    /// The namespace.
    pub(crate) namespace: &'a str,
    /// The name.
    pub(crate) name: &'a str,
}

/// A port by name and protocol, without their underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRef<'a> {
    /// The name of the port.
    pub(crate) name: &'a str,
    /// The protocol in lower case.
    pub(crate) protocol: &'a str,
}

/// The labels of `name` in lower case, leftmost first.
pub(crate) fn lower_labels(name: &Name) -> Vec<String> {
    name.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect()
}

/// Says what the labels left of the cluster domain stand for.
pub(crate) fn subject(labels: &[String]) -> Subject<'_> {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    match labels.as_slice() {
        [] => Subject::Apex,
        ["dns-version"] => Subject::SchemaVersion,
        ["dns" | "svc" | "pod"] => Subject::Branch,
        ["ns", "dns"] => Subject::NameServer,
        [namespace, "svc" | "pod"] => Subject::Namespace(namespace),
        [name, namespace, "svc"] => Subject::Service(ServiceRef { namespace, name }),
        [label, name, namespace, "svc"] => {
            let service = ServiceRef { namespace, name };
            match label.strip_prefix('_') {
                Some(protocol) => Subject::Protocol(service, protocol),
                None => Subject::Endpoint(service, label),
            }
        }
        [port, protocol, name, namespace, "svc"] => match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
            (Some(port), Some(protocol)) if !port.is_empty() => {
                Subject::Port(ServiceRef { namespace, name }, PortRef { name: port, protocol })
            }
            _ => Subject::Unknown,
        },
        [address, namespace, "pod"] => match undashed(address) {
            Some(address) => Subject::Pod(namespace, address),
            None => Subject::Unknown,
        },
        _ => Subject::Unknown,
    }
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` asks for.
/// Nothing for names that stand for a whole network.
pub(crate) fn reverse_address(name: &Name) -> Option<IpAddr> {
    let network = name.parse_arpa_name().ok()?;
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}
