//! From services and their slices to upstreams.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{
    api::objects::{EndpointSlice, Service, ServicePort},
    ingress::{
        objects::{Id, Objects, PortRef},
        table::{Protocol, Upstream},
    },
};

/// The label that ties a slice to its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Finds upstreams, and gives the same one for the same question.
pub(crate) struct Backends<'a> {
    objects: &'a Objects,
    slices: HashMap<Id, Vec<&'a EndpointSlice>>,
    known: HashMap<Question, Result<Arc<Upstream>, String>>,
    names: BTreeSet<String>,
}

/// What was asked of [`Backends`].
pub(crate) struct Found {
    /// All upstreams, by name and protocol.
    pub(crate) upstreams: HashMap<(String, Protocol), Arc<Upstream>>,
    /// The names whose addresses are needed for them.
    pub(crate) names: BTreeSet<String>,
}

/// A service, a port of it, and what to speak if that is laid down.
type Question = (Id, PortKey, Option<Protocol>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PortKey {
    Name(String),
    Number(u16),
}

impl<'a> Backends<'a> {
    /// Looks at all slices once.
    pub(crate) fn new(objects: &'a Objects) -> Self {
        let mut slices: HashMap<Id, Vec<&EndpointSlice>> = HashMap::new();
        for (id, slice) in &objects.slices {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_LABEL)) {
                slices.entry(Id::new(&id.namespace, service)).or_default().push(slice);
            }
        }
        Self { objects, slices, known: HashMap::new(), names: BTreeSet::new() }
    }

    /// The upstream for a port of a service, speaking `protocol` or what the service says.
    pub(crate) fn find(
        &mut self,
        service: &Id,
        port: Option<&PortRef>,
        protocol: Option<Protocol>,
    ) -> Result<Arc<Upstream>, String> {
        let port = match port {
            Some(PortRef { name: Some(name), .. }) if !name.is_empty() => PortKey::Name(name.clone()),
            Some(PortRef { number: Some(number), .. }) => PortKey::Number(*number),
            _ => return Err(format!("no port of service {service} is named")),
        };
        let key = (service.clone(), port, protocol);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.make(service, &key.1, protocol);
        self.known.insert(key, found.clone());
        found
    }

    /// What has come of all questions.
    pub(crate) fn found(self) -> Found {
        let found = self.known.into_values().flatten();
        let upstreams = found.map(|upstream| ((upstream.name.clone(), upstream.protocol), upstream)).collect();
        Found { upstreams, names: self.names }
    }

    fn make(&mut self, id: &Id, port: &PortKey, protocol: Option<Protocol>) -> Result<Arc<Upstream>, String> {
        let service = self.objects.services.get(id).ok_or_else(|| format!("there is no service {id}"))?;
        if is_external(service) {
            return self.external(id, service, port, protocol);
        }
        let port = find_port(service, port).ok_or_else(|| match port {
            PortKey::Name(name) => format!("service {id} has no port {name}"),
            PortKey::Number(number) => format!("service {id} has no port {number}"),
        })?;
        let protocol = protocol.or_else(|| spoken(port.app_protocol.as_deref()?)).unwrap_or_default();
        let name = format!("{}/{}:{}", id.namespace, id.name, port.port);
        Ok(Arc::new(Upstream::new(name, protocol, self.endpoints(id, port.name.as_deref().unwrap_or_default()))))
    }

    /// What a service of type ExternalName stands for. Its names are asked for elsewhere; until there is an answer,
    /// it has no endpoints.
    fn external(
        &mut self,
        id: &Id,
        service: &Service,
        port: &PortKey,
        protocol: Option<Protocol>,
    ) -> Result<Arc<Upstream>, String> {
        let found = find_port(service, port);
        let number = match (found.and_then(|port| port.target_port.as_ref()), found, port) {
            (Some(IntOrString::Int(number)), ..) if *number > 0 => u16::try_from(*number).unwrap_or_default(),
            (_, Some(found), _) => found.port,
            // Such a service need not list its ports.
            (_, None, PortKey::Number(number)) => *number,
            (_, None, PortKey::Name(name)) => return Err(format!("service {id} has no port {name}")),
        };
        let name = service.spec.external_name.as_deref().unwrap_or_default().trim_end_matches('.');
        let addresses = match name.parse::<IpAddr>() {
            Ok(address) => Some(vec![address]),
            Err(_) => {
                self.names.insert(name.to_owned());
                self.objects.names.get(name).cloned()
            }
        };
        let known = addresses.is_some();
        // What listens at this pod's own loopback device is nobody else's business.
        let mut foreign = addresses.unwrap_or_default();
        foreign.retain(|address| !address.is_loopback() && !address.is_unspecified());
        if known && foreign.is_empty() {
            return Err(format!("{name}, which service {id} stands for, has no address that may be used"));
        }
        let spoken = found.and_then(|port| spoken(port.app_protocol.as_deref()?));
        let label = format!("{}/{}:{number}", id.namespace, id.name);
        let endpoints = foreign.into_iter().map(|address| SocketAddr::new(address, number)).collect();
        Ok(Arc::new(Upstream::new(label, protocol.or(spoken).unwrap_or_default(), endpoints)))
    }

    /// The addresses behind a port, in order, each once.
    fn endpoints(&self, service: &Id, port: &str) -> Vec<SocketAddr> {
        let (mut ready, mut leaving) = (Vec::new(), Vec::new());
        for slice in self.slices.get(service).into_iter().flatten() {
            let numbers = slice.ports.iter().flatten();
            let mut named = numbers.filter(|found| found.name.as_deref().unwrap_or_default() == port);
            let Some(number) = named.find_map(|found| found.port) else { continue };
            for endpoint in slice.endpoints.iter().flatten() {
                let list = match endpoint.conditions.ready.unwrap_or(true) {
                    true => &mut ready,
                    false if endpoint.conditions.serving == Some(true) => &mut leaving,
                    false => continue,
                };
                let addresses = endpoint.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
                list.extend(addresses.map(|address| SocketAddr::new(address, number)));
            }
        }
        // Who is on the way out but still answers is better than nobody.
        let mut endpoints = if ready.is_empty() { leaving } else { ready };
        // A pod with addresses of both families is one endpoint, not two.
        if endpoints.iter().any(SocketAddr::is_ipv4) {
            endpoints.retain(SocketAddr::is_ipv4);
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        endpoints
    }
}

/// Whether a service stands for a name.
pub(crate) fn is_external(service: &Service) -> bool {
    service.spec.kind.as_deref() == Some("ExternalName")
}

fn find_port<'a>(service: &'a Service, port: &PortKey) -> Option<&'a ServicePort> {
    let mut ports = service.spec.ports.iter().flatten();
    ports.find(|found| match port {
        PortKey::Name(name) => found.name.as_ref() == Some(name),
        PortKey::Number(number) => found.port == *number,
    })
}

/// The protocol that a service's port says it speaks.
fn spoken(app_protocol: &str) -> Option<Protocol> {
    match app_protocol.to_ascii_lowercase().as_str() {
        "kubernetes.io/h2c" | "h2c" | "grpc" => Some(Protocol::H2c),
        "https" | "kubernetes.io/wss" => Some(Protocol::Https),
        _ => None,
    }
}
