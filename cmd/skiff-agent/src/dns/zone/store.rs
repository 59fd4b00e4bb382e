//! The zone's data and its upkeep: single changes from a watch, or everything at once after a new list.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use hickory_proto::rr::Name;
use ipnet::IpNet;

use super::{
    names::{ServiceRef, lower_labels},
    records::{Endpoint, Port, Service, Slice, Target},
};

/// What stays the same for the life of a zone.
#[derive(Clone, Debug)]
pub(crate) struct ZoneConfig {
    /// The cluster domain.
    pub(crate) domain: Name,
    /// The time to live of all answers, in seconds.
    pub(crate) ttl: u32,
    /// The service that the zone's own name server is reached by, as (namespace, name).
    pub(crate) dns_service: (String, String),
    /// Networks whose addresses nobody else knows: reverse look-ups in them are never forwarded.
    pub(crate) local_networks: Vec<IpNet>,
    /// Names outside of the domain that this server knows better than others.
    pub(crate) hosts: Vec<(Name, IpAddr)>,
}

/// All records of one cluster.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(super) config: ZoneConfig,
    pub(super) domain_labels: Vec<String>,
    pub(super) serial: u32,
    namespaces: HashSet<String>,
    /// By namespace, then by service name.
    services: HashMap<String, HashMap<String, Entry>>,
    /// By namespace and slice name, the service whose endpoints the slice lists.
    slice_owners: HashMap<(String, String), String>,
    /// Who has an address; a service is listed once for each time it has it.
    by_address: HashMap<IpAddr, Vec<(String, String)>>,
}

/// A service and the slices of its endpoints; either may come first.
#[derive(Debug, Default)]
struct Entry {
    service: Option<Service>,
    slices: HashMap<String, Slice>,
}

/// How much a zone holds, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZoneSize {
    /// Services known.
    pub(crate) services: usize,
    /// Distinct addresses of services and endpoints.
    pub(crate) addresses: usize,
}

impl Zone {
    /// An empty zone. The serial starts at `serial` and grows with each change.
    pub(crate) fn new(config: ZoneConfig, serial: u32) -> Self {
        Self {
            domain_labels: lower_labels(&config.domain),
            config,
            serial,
            namespaces: HashSet::new(),
            services: HashMap::new(),
            slice_owners: HashMap::new(),
            by_address: HashMap::new(),
        }
    }

    /// Adds a service or replaces what was known of it.
    pub(crate) fn apply_service(&mut self, service: Service) {
        self.remove_service(&service.namespace.clone(), &service.name.clone());
        for address in service_addresses(&service) {
            self.own(address, &service.namespace, &service.name);
        }
        let entry = self.entry(&service.namespace, &service.name);
        entry.service = Some(service);
    }

    /// Forgets a service. Nothing happens if it is unknown.
    pub(crate) fn remove_service(&mut self, namespace: &str, name: &str) {
        self.serial = self.serial.wrapping_add(1);
        let Some(entry) = self.services.get_mut(namespace).and_then(|named| named.get_mut(name)) else {
            return;
        };
        let Some(old) = entry.service.take() else { return };
        for address in service_addresses(&old) {
            self.disown(address, namespace, name);
        }
        self.drop_empty(namespace, name);
    }

    /// Replaces all services by the given ones.
    pub(crate) fn replace_services(&mut self, services: Vec<Service>) {
        let known: Vec<(String, String)> = self
            .services
            .iter()
            .flat_map(|(namespace, named)| {
                named
                    .iter()
                    .filter(|(_, entry)| entry.service.is_some())
                    .map(move |(name, _)| (namespace.clone(), name.clone()))
            })
            .collect();
        for (namespace, name) in known {
            self.remove_service(&namespace, &name);
        }
        for service in services {
            self.apply_service(service);
        }
    }

    /// Adds a slice of endpoints or replaces what was known of it.
    pub(crate) fn apply_slice(&mut self, slice: Slice) {
        self.remove_slice(&slice.namespace.clone(), &slice.name.clone());
        for address in slice_addresses(&slice) {
            self.own(address, &slice.namespace, &slice.service);
        }
        let key = (slice.namespace.clone(), slice.name.clone());
        self.slice_owners.insert(key, slice.service.clone());
        let entry = self.entry(&slice.namespace, &slice.service);
        entry.slices.insert(slice.name.clone(), slice);
    }

    /// Forgets a slice of endpoints. Nothing happens if it is unknown.
    pub(crate) fn remove_slice(&mut self, namespace: &str, name: &str) {
        self.serial = self.serial.wrapping_add(1);
        let key = (namespace.to_owned(), name.to_owned());
        let Some(service) = self.slice_owners.remove(&key) else { return };
        let entry = self.services.get_mut(namespace).and_then(|named| named.get_mut(&service));
        let Some(old) = entry.and_then(|entry| entry.slices.remove(name)) else { return };
        for address in slice_addresses(&old) {
            self.disown(address, namespace, &service);
        }
        self.drop_empty(namespace, &service);
    }

    /// Replaces all slices by the given ones.
    pub(crate) fn replace_slices(&mut self, slices: Vec<Slice>) {
        let known: Vec<(String, String)> = self.slice_owners.keys().cloned().collect();
        for (namespace, name) in known {
            self.remove_slice(&namespace, &name);
        }
        for slice in slices {
            self.apply_slice(slice);
        }
    }

    /// Adds a namespace.
    pub(crate) fn apply_namespace(&mut self, name: String) {
        self.serial = self.serial.wrapping_add(1);
        self.namespaces.insert(name);
    }

    /// Forgets a namespace.
    pub(crate) fn remove_namespace(&mut self, name: &str) {
        self.serial = self.serial.wrapping_add(1);
        self.namespaces.remove(name);
    }

    /// Replaces all namespaces by the given ones.
    pub(crate) fn replace_namespaces(&mut self, names: HashSet<String>) {
        self.serial = self.serial.wrapping_add(1);
        self.namespaces = names;
    }

    /// How much the zone holds.
    pub(crate) fn size(&self) -> ZoneSize {
        ZoneSize {
            services: self.services.values().flat_map(HashMap::values).filter(|entry| entry.service.is_some()).count(),
            addresses: self.by_address.len(),
        }
    }

    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    pub(super) fn service(&self, service: ServiceRef<'_>) -> Option<&Service> {
        self.services.get(service.namespace)?.get(service.name)?.service.as_ref()
    }

    /// The ready endpoints of a service, each with the ports of its slice, in a stable order.
    pub(super) fn ready_endpoints(&self, service: &Service) -> Vec<(&Endpoint, &[Port])> {
        let entry = self.services.get(&service.namespace).and_then(|named| named.get(&service.name));
        let mut slices: Vec<&Slice> = entry.map(|entry| entry.slices.values().collect()).unwrap_or_default();
        slices.sort_by(|a, b| a.name.cmp(&b.name));
        slices
            .into_iter()
            .flat_map(|slice| slice.endpoints.iter().map(|endpoint| (endpoint, slice.ports.as_slice())))
            .filter(|(endpoint, _)| endpoint.ready || service.publish_not_ready)
            .collect()
    }

    /// The services that have `address` themselves or through an endpoint, each once, in a stable order.
    pub(super) fn owners(&self, address: IpAddr) -> Vec<&Service> {
        let mut owners: Vec<&(String, String)> = self.by_address.get(&address).into_iter().flatten().collect();
        owners.sort();
        owners.dedup();
        owners.into_iter().filter_map(|(namespace, name)| self.service(ServiceRef { namespace, name })).collect()
    }

    fn entry(&mut self, namespace: &str, name: &str) -> &mut Entry {
        self.services.entry(namespace.to_owned()).or_default().entry(name.to_owned()).or_default()
    }

    fn drop_empty(&mut self, namespace: &str, name: &str) {
        let Some(named) = self.services.get_mut(namespace) else { return };
        if named.get(name).is_some_and(|entry| entry.service.is_none() && entry.slices.is_empty()) {
            named.remove(name);
        }
        if named.is_empty() {
            self.services.remove(namespace);
        }
    }

    fn own(&mut self, address: IpAddr, namespace: &str, name: &str) {
        self.by_address.entry(address).or_default().push((namespace.to_owned(), name.to_owned()));
    }

    fn disown(&mut self, address: IpAddr, namespace: &str, name: &str) {
        let Some(owners) = self.by_address.get_mut(&address) else { return };
        if let Some(at) = owners.iter().position(|(ns, n)| ns == namespace && n == name) {
            owners.swap_remove(at);
        }
        if owners.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

fn service_addresses(service: &Service) -> Vec<IpAddr> {
    match &service.target {
        Target::Addresses(addresses) => addresses.clone(),
        _ => Vec::new(),
    }
}

fn slice_addresses(slice: &Slice) -> Vec<IpAddr> {
    slice.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect()
}
