//! From services and their slices to upstreams.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

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
        Self { objects, slices, known: HashMap::new() }
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

    /// All upstreams that were found, by name and protocol.
    pub(crate) fn found(self) -> HashMap<(String, Protocol), Arc<Upstream>> {
        let found = self.known.into_values().flatten();
        found.map(|upstream| ((upstream.name.clone(), upstream.protocol), upstream)).collect()
    }

    fn make(&self, id: &Id, port: &PortKey, protocol: Option<Protocol>) -> Result<Arc<Upstream>, String> {
        let service = self.objects.services.get(id).ok_or_else(|| format!("there is no service {id}"))?;
        if service.spec.kind.as_deref() == Some("ExternalName") {
            return Err(format!("service {id} is of type ExternalName, which is not supported"));
        }
        let port = find_port(service, port).ok_or_else(|| match port {
            PortKey::Name(name) => format!("service {id} has no port {name}"),
            PortKey::Number(number) => format!("service {id} has no port {number}"),
        })?;
        let protocol = protocol.or_else(|| spoken(port.app_protocol.as_deref()?)).unwrap_or_default();
        let name = format!("{}/{}:{}", id.namespace, id.name, port.port);
        Ok(Arc::new(Upstream::new(name, protocol, self.endpoints(id, port.name.as_deref().unwrap_or_default()))))
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
