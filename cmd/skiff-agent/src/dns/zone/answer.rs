//! From a question to records: the part of the specification that clients see.

use std::{collections::HashSet, net::IpAddr};

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT},
};

use super::{
    names::{PortRef, ServiceRef, Subject, lower_labels, reverse_address, subject},
    records::{Endpoint, Port, Service, Target},
    store::Zone,
};

/// The version of the DNS schema served.
const SCHEMA_VERSION: &str = "1.1.0";
/// The weight of each SRV record; all targets of one name are equals.
const SRV_WEIGHT: u16 = 100;
/// The number of labels in `in-addr.arpa` and `ip6.arpa`.
const REVERSE_LABELS: usize = 2;

/// What the zone says to a question.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The records asked for, and those that spare the client a second question.
    Found {
        /// The answer section.
        answers: Vec<Record>,
        /// The additional section.
        additionals: Vec<Record>,
    },
    /// Another name for the name asked for; the answer goes on with `target`.
    Alias {
        /// The CNAME record.
        record: Record,
        /// Where it points.
        target: Name,
    },
    /// The name exists, but has no records of this type; with the start of authority.
    NoData(Record),
    /// The name does not exist; with the start of authority.
    NxDomain(Record),
    /// The name lies outside the zone.
    Foreign,
}

impl Zone {
    /// Answers one question of class IN.
    pub(crate) fn lookup(&self, name: &Name, kind: RecordType) -> Outcome {
        let labels = lower_labels(name);
        if let Some(inner) = labels.strip_suffix(self.domain_labels.as_slice()) {
            return self.lookup_inside(name, inner, kind);
        }
        let hosts = || self.config.hosts.iter().filter(|(host, _)| lower_labels(host) == labels);
        match reverse_address(name) {
            Some(address) => self.lookup_reverse(name, address, kind),
            None if hosts().next().is_some() => {
                self.found(self.addresses(name, hosts().map(|(_, address)| *address).collect(), kind))
            }
            None => Outcome::Foreign,
        }
    }

    fn lookup_inside(&self, name: &Name, labels: &[String], kind: RecordType) -> Outcome {
        match subject(labels) {
            Subject::Apex => self.lookup_apex(name, kind),
            Subject::SchemaVersion => {
                let version = RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()]));
                let wanted = matches!(kind, RecordType::TXT | RecordType::ANY);
                self.found(if wanted { vec![self.record(name, version)] } else { Vec::new() })
            }
            Subject::NameServer => self.found(self.addresses(name, self.dns_addresses(), kind)),
            Subject::Branch => self.no_data(),
            Subject::Namespace(namespace) if self.has_namespace(namespace) => self.no_data(),
            Subject::Service(service) => self.with_service(service, |s| self.lookup_service(name, s, kind)),
            Subject::Endpoint(service, label) => {
                self.with_service(service, |s| self.lookup_endpoint(name, s, label, kind))
            }
            Subject::Protocol(service, protocol) => self.with_service(service, |s| {
                let known = self.ports_of(s).iter().any(|port| port.protocol == protocol && !port.name.is_empty());
                if known { self.no_data() } else { self.nx_domain() }
            }),
            Subject::Port(service, port) => self.with_service(service, |s| self.lookup_port(name, s, port, kind)),
            Subject::Pod(namespace, address) if self.has_namespace(namespace) => {
                self.found(self.addresses(name, vec![address], kind))
            }
            Subject::Namespace(_) | Subject::Pod(..) | Subject::Unknown => self.nx_domain(),
        }
    }

    fn lookup_apex(&self, name: &Name, kind: RecordType) -> Outcome {
        let server = self.name_server();
        match kind {
            RecordType::SOA | RecordType::ANY => self.found(vec![self.soa()]),
            RecordType::NS => Outcome::Found {
                answers: vec![self.record(name, RData::NS(NS(server.clone())))],
                additionals: self.addresses(&server, self.dns_addresses(), RecordType::ANY),
            },
            _ => self.no_data(),
        }
    }

    fn lookup_service(&self, name: &Name, service: &Service, kind: RecordType) -> Outcome {
        match &service.target {
            Target::External(target) => {
                let record = self.record(name, RData::CNAME(CNAME(target.clone())));
                match kind {
                    RecordType::CNAME | RecordType::ANY => self.found(vec![record]),
                    _ => Outcome::Alias { record, target: target.clone() },
                }
            }
            Target::Addresses(_) if kind == RecordType::SRV => self.services(name, service, None),
            Target::Addresses(addresses) => self.found(self.addresses(name, addresses.clone(), kind)),
            Target::Headless => {
                let endpoints = self.ready_endpoints(service);
                if endpoints.is_empty() {
                    return self.nx_domain();
                }
                if kind == RecordType::SRV {
                    return self.services(name, service, None);
                }
                let addresses = endpoints.iter().flat_map(|(endpoint, _)| endpoint.addresses.clone()).collect();
                self.found(self.addresses(name, addresses, kind))
            }
        }
    }

    fn lookup_endpoint(&self, name: &Name, service: &Service, label: &str, kind: RecordType) -> Outcome {
        let addresses: Vec<IpAddr> = self
            .ready_endpoints(service)
            .iter()
            .flat_map(|(endpoint, _)| endpoint.addresses.iter().map(move |address| (endpoint, *address)))
            .filter(|(endpoint, address)| endpoint.label(*address) == label)
            .map(|(_, address)| address)
            .collect();
        if addresses.is_empty() {
            return self.nx_domain();
        }
        self.found(self.addresses(name, addresses, kind))
    }

    fn lookup_port(&self, name: &Name, service: &Service, port: PortRef<'_>, kind: RecordType) -> Outcome {
        match self.services(name, service, Some(port)) {
            Outcome::NoData(_) => self.nx_domain(),
            found if matches!(kind, RecordType::SRV | RecordType::ANY) => found,
            _ => self.no_data(),
        }
    }

    /// SRV records of one port, or of all ports when none is named.
    ///
    /// The specification knows no SRV records on the bare name of a service; both of the usual servers
    /// have them, and clustered programs find their peers that way.
    fn services(&self, name: &Name, service: &Service, wanted: Option<PortRef<'_>>) -> Outcome {
        let matches =
            |port: &Port| wanted.is_none_or(|wanted| port.name == wanted.name && port.protocol == wanted.protocol);
        let mut answers = Vec::new();
        let mut additionals = Vec::new();
        let (mut targets, mut hosts) = (HashSet::new(), HashSet::new());
        let own = self.service_name(service);
        match &service.target {
            Target::External(_) => {}
            Target::Addresses(addresses) => {
                for port in service.ports.iter().filter(|port| matches(port)) {
                    answers.push(self.srv(name, port.number, own.clone()));
                }
                additionals = self.addresses(&own, addresses.clone(), RecordType::ANY);
            }
            Target::Headless => {
                for (endpoint, ports) in self.ready_endpoints(service) {
                    for (address, port) in pairs(endpoint, ports).filter(|(_, port)| matches(port)) {
                        let target = below(&endpoint.label(address), &own);
                        if targets.insert((target.clone(), port.number)) {
                            answers.push(self.srv(name, port.number, target.clone()));
                        }
                        if hosts.insert((target.clone(), address)) {
                            additionals.extend(self.addresses(&target, vec![address], RecordType::ANY));
                        }
                    }
                }
            }
        }
        if answers.is_empty() { self.no_data() } else { Outcome::Found { answers, additionals } }
    }

    fn lookup_reverse(&self, name: &Name, address: IpAddr, kind: RecordType) -> Outcome {
        let mut targets = Vec::new();
        for service in self.owners(address) {
            let own = self.service_name(service);
            if matches!(&service.target, Target::Addresses(addresses) if addresses.contains(&address)) {
                targets.push(own.clone());
            }
            for (endpoint, _) in self.ready_endpoints(service) {
                if endpoint.addresses.contains(&address) {
                    targets.push(below(&endpoint.label(address), &own));
                }
            }
        }
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        if !targets.is_empty() {
            let wanted = matches!(kind, RecordType::PTR | RecordType::ANY);
            let records = targets.into_iter().map(|target| self.record(name, RData::PTR(PTR(target))));
            return self.found(if wanted { records.collect() } else { Vec::new() });
        }
        if self.config.local_networks.iter().any(|network| network.contains(&address)) {
            // A negative answer names the zone that it speaks for, which here is a reverse one.
            let apex = name.trim_to(REVERSE_LABELS);
            return Outcome::NxDomain(self.soa_of(&apex));
        }
        Outcome::Foreign
    }

    fn with_service(&self, service: ServiceRef<'_>, answer: impl FnOnce(&Service) -> Outcome) -> Outcome {
        match self.service(service) {
            Some(service) => answer(service),
            None => self.nx_domain(),
        }
    }

    fn ports_of<'a>(&'a self, service: &'a Service) -> Vec<&'a Port> {
        match service.target {
            Target::Headless => self.ready_endpoints(service).into_iter().flat_map(|(_, ports)| ports.iter()).collect(),
            _ => service.ports.iter().collect(),
        }
    }

    fn dns_addresses(&self) -> Vec<IpAddr> {
        let (namespace, name) = &self.config.dns_service;
        match self.service(ServiceRef { namespace, name }).map(|service| &service.target) {
            Some(Target::Addresses(addresses)) => addresses.clone(),
            _ => Vec::new(),
        }
    }

    fn addresses(&self, name: &Name, addresses: Vec<IpAddr>, kind: RecordType) -> Vec<Record> {
        let mut seen = HashSet::new();
        addresses
            .into_iter()
            .filter(|address| seen.insert(*address))
            .filter_map(|address| match address {
                IpAddr::V4(v4) => matches!(kind, RecordType::A | RecordType::ANY).then_some(RData::A(A(v4))),
                IpAddr::V6(v6) => matches!(kind, RecordType::AAAA | RecordType::ANY).then_some(RData::AAAA(AAAA(v6))),
            })
            .map(|data| self.record(name, data))
            .collect()
    }

    fn srv(&self, name: &Name, port: u16, target: Name) -> Record {
        self.record(name, RData::SRV(SRV::new(0, SRV_WEIGHT, port, target)))
    }

    fn record(&self, name: &Name, data: RData) -> Record {
        Record::from_rdata(name.clone(), self.config.ttl, data)
    }

    fn found(&self, answers: Vec<Record>) -> Outcome {
        if answers.is_empty() {
            return self.no_data();
        }
        Outcome::Found { answers, additionals: Vec::new() }
    }

    fn no_data(&self) -> Outcome {
        Outcome::NoData(self.soa())
    }

    fn nx_domain(&self) -> Outcome {
        Outcome::NxDomain(self.soa())
    }

    fn soa(&self) -> Record {
        self.soa_of(&self.config.domain)
    }

    /// The start of authority, which also says how long a negative answer may be kept (RFC 2308).
    fn soa_of(&self, apex: &Name) -> Record {
        let ttl = self.config.ttl;
        let contact = below("hostmaster", &self.config.domain);
        let soa = SOA::new(self.name_server(), contact, self.serial, 7200, 1800, 86400, ttl);
        Record::from_rdata(apex.clone(), ttl, RData::SOA(soa))
    }

    fn name_server(&self) -> Name {
        below("ns", &below("dns", &self.config.domain))
    }

    fn service_name(&self, service: &Service) -> Name {
        let namespace = below(&service.namespace, &below("svc", &self.config.domain));
        below(&service.name, &namespace)
    }
}

/// Each address of an endpoint with each of its ports.
fn pairs<'a>(endpoint: &'a Endpoint, ports: &'a [Port]) -> impl Iterator<Item = (IpAddr, &'a Port)> {
    endpoint.addresses.iter().flat_map(move |address| ports.iter().map(move |port| (*address, port)))
}

/// `parent` with one more label before it. A label that DNS cannot carry leaves the parent as it is:
/// the API server lets no such names in.
fn below(label: &str, parent: &Name) -> Name {
    parent.prepend_label(label.as_bytes()).unwrap_or_else(|_| parent.clone())
}
