//! Which names lead to which addresses. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, SOA},
};
use k8s_openapi::api::networking::v1::Ingress;

/// How long an answer may be kept, in seconds.
const TTL: u32 = 5;

/// An Ingress, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Namespace and name.
    pub(super) key: (String, String),
    hosts: BTreeSet<String>,
    addresses: Vec<IpAddr>,
}

impl Rules {
    /// Takes the hosts and the addresses of an Ingress; nothing if it names no host.
    pub(super) fn of(ingress: &Ingress) -> Option<Self> {
        let metadata = &ingress.metadata;
        let rules = ingress.spec.as_ref().and_then(|spec| spec.rules.as_ref());
        let hosts: BTreeSet<String> =
            rules.into_iter().flatten().filter_map(|rule| host(rule.host.as_deref()?)).collect();
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let entries = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
        let mut addresses: Vec<IpAddr> = entries.filter_map(|entry| entry.ip.as_ref()?.parse().ok()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let key = (metadata.namespace.clone()?, metadata.name.clone()?);
        (!hosts.is_empty()).then_some(Self { key, hosts, addresses })
    }
}

/// A host as it is looked up: lower case, without a dot at the end.
fn host(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    (!text.is_empty()).then_some(text)
}

/// What is known about a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// These records.
    Records(Vec<Record>),
    /// The name exists, but has no records of the type. The record says how long that holds.
    Nothing(Box<Record>),
    /// The name is not one of ours.
    Foreign,
}

/// All names that are answered for.
#[derive(Debug)]
pub(super) struct Hosts {
    /// All names below these lead to the node.
    domains: Vec<String>,
    /// The node's addresses, for what has no others.
    node: Vec<IpAddr>,
    /// The one address for everything, if there shall be one.
    only: Option<IpAddr>,
    all: BTreeMap<(String, String), Rules>,
    /// Which of them name a host.
    by_host: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl Hosts {
    pub(super) fn new(domains: Vec<String>, node: Vec<IpAddr>, only: Option<IpAddr>) -> Self {
        let node = only.map_or(node, |only| vec![only]);
        Self { domains, node, only, all: BTreeMap::new(), by_host: BTreeMap::new() }
    }

    /// How many hosts Ingresses name.
    pub(super) fn len(&self) -> usize {
        self.by_host.len()
    }

    /// Takes in an Ingress in place of what it was.
    pub(super) fn apply(&mut self, rules: Rules) {
        self.remove(&rules.key);
        for host in &rules.hosts {
            self.by_host.entry(host.clone()).or_default().insert(rules.key.clone());
        }
        self.all.insert(rules.key.clone(), rules);
    }

    /// Forgets an Ingress.
    pub(super) fn remove(&mut self, key: &(String, String)) {
        let Some(rules) = self.all.remove(key) else { return };
        for host in &rules.hosts {
            if let Some(keys) = self.by_host.get_mut(host) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
    }

    /// Forgets everything but these.
    pub(super) fn replace(&mut self, all: Vec<Rules>) {
        self.all.clear();
        self.by_host.clear();
        for rules in all {
            self.apply(rules);
        }
    }

    /// Looks a name up.
    pub(super) fn lookup(&self, name: &Name, kind: RecordType) -> Found {
        let asked = name.to_lowercase().to_ascii();
        let asked = asked.trim_end_matches('.');
        let Some(addresses) = self.addresses(asked) else { return Found::Foreign };
        let records: Vec<Record> = (addresses.into_iter())
            .filter_map(|address| match (address, kind) {
                (IpAddr::V4(ip), RecordType::A | RecordType::ANY) => Some(RData::A(A(ip))),
                (IpAddr::V6(ip), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(ip))),
                _ => None,
            })
            .map(|data| Record::from_rdata(name.clone(), TTL, data))
            .collect();
        if records.is_empty() { Found::Nothing(Box::new(authority(name))) } else { Found::Records(records) }
    }

    /// The addresses of a name: those of the Ingresses that name it, else those of the Ingresses with a
    /// wildcard for it, else the node's if it is in a domain of ours.
    fn addresses(&self, asked: &str) -> Option<Vec<IpAddr>> {
        let wildcard = || {
            let (first, rest) = asked.split_once('.')?;
            if first.is_empty() { None } else { self.by_host.get(&format!("*.{rest}")) }
        };
        if let Some(keys) = self.by_host.get(asked).or_else(wildcard) {
            let all = keys.iter().filter_map(|key| self.all.get(key)).flat_map(|rules| &rules.addresses);
            let addresses: BTreeSet<IpAddr> = all.copied().collect();
            let found = if addresses.is_empty() || self.only.is_some() {
                self.node.clone()
            } else {
                addresses.into_iter().collect()
            };
            return Some(found);
        }
        let in_domain = |domain: &String| {
            // The domain itself exists, too, with nothing in it.
            asked == domain || asked.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        let domain = self.domains.iter().find(|domain| in_domain(domain))?;
        Some(if asked == domain { Vec::new() } else { self.node.clone() })
    }
}

/// What goes with an answer without records.
fn authority(name: &Name) -> Record {
    let words = |first: &str| Name::from_ascii(first).ok().and_then(|first| first.append_domain(name).ok());
    let (server, mail) = (words("ns").unwrap_or_else(Name::root), words("hostmaster").unwrap_or_else(Name::root));
    Record::from_rdata(name.clone(), TTL, RData::SOA(SOA::new(server, mail, 1, 3600, 600, 86400, TTL)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(name: &str, hosts: &[&str], addresses: &[&str]) -> Rules {
        let rules: Value = hosts.iter().map(|host| json!({"host": host})).collect();
        let entries: Value = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        let ingress = json!({
            "metadata": {"namespace": "n", "name": name},
            "spec": {"rules": rules},
            "status": {"loadBalancer": {"ingress": entries}},
        });
        Rules::of(&serde_json::from_value(ingress).unwrap()).unwrap()
    }

    fn hosts() -> Hosts {
        let node = vec!["192.0.2.1".parse().unwrap()];
        let mut hosts = Hosts::new(vec!["test".to_owned()], node, None);
        hosts.apply(rules("a", &["Shop.example.com"], &["192.0.2.9", "fd00::9"]));
        hosts.apply(rules("b", &["*.wild.example.com"], &[]));
        hosts
    }

    #[track_caller]
    fn check(hosts: &Hosts, name: &str, kind: RecordType, expected: &[&str]) {
        let found = match hosts.lookup(&Name::from_ascii(name).unwrap(), kind) {
            Found::Records(records) => records.iter().map(|record| record.data.to_string()).collect(),
            Found::Nothing(_) => vec!["nothing".to_owned()],
            Found::Foreign => vec!["foreign".to_owned()],
        };
        assert_eq!(found, expected, "{name} {kind}");
    }

    #[test]
    fn a_host_leads_to_where_its_ingress_is_served() {
        check(&hosts(), "shop.example.com.", RecordType::A, &["192.0.2.9"]);
        check(&hosts(), "SHOP.example.COM.", RecordType::AAAA, &["fd00::9"]);
        check(&hosts(), "shop.example.com.", RecordType::TXT, &["nothing"]);
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        check(&hosts(), "a.wild.example.com.", RecordType::A, &["192.0.2.1"]);
        check(&hosts(), "a.wild.example.com.", RecordType::AAAA, &["nothing"]);
        check(&hosts(), "a.b.wild.example.com.", RecordType::A, &["foreign"]);
        check(&hosts(), "wild.example.com.", RecordType::A, &["foreign"]);
    }

    #[test]
    fn every_name_of_a_domain_leads_to_the_node() {
        for name in ["a.test.", "b.a.test."] {
            check(&hosts(), name, RecordType::A, &["192.0.2.1"]);
        }
        check(&hosts(), "test.", RecordType::A, &["nothing"]);
        check(&hosts(), "contest.", RecordType::A, &["foreign"]);
        check(&hosts(), ".", RecordType::A, &["foreign"]);
    }

    #[test]
    fn an_ingress_that_changes_or_goes_takes_its_names_along() {
        let mut hosts = hosts();
        hosts.apply(rules("a", &["new.example.com"], &[]));
        check(&hosts, "shop.example.com.", RecordType::A, &["foreign"]);
        check(&hosts, "new.example.com.", RecordType::A, &["192.0.2.1"]);
        // Two may share a host.
        hosts.apply(rules("c", &["new.example.com"], &["192.0.2.7"]));
        check(&hosts, "new.example.com.", RecordType::A, &["192.0.2.7"]);
        hosts.remove(&("n".to_owned(), "a".to_owned()));
        check(&hosts, "new.example.com.", RecordType::A, &["192.0.2.7"]);
        hosts.replace(vec![rules("d", &["other.example.com"], &[])]);
        check(&hosts, "new.example.com.", RecordType::A, &["foreign"]);
        assert_eq!(hosts.len(), 1);
    }

    #[test]
    fn one_address_may_stand_for_all() {
        let mut hosts = Hosts::new(Vec::new(), vec!["192.0.2.1".parse().unwrap()], Some("127.0.0.1".parse().unwrap()));
        hosts.apply(rules("a", &["a.example.com"], &["192.0.2.9"]));
        check(&hosts, "a.example.com.", RecordType::A, &["127.0.0.1"]);
        check(&hosts, "a.test.", RecordType::A, &["foreign"]);
    }

    #[test]
    fn an_ingress_without_hosts_is_left_out() {
        for spec in [json!({}), json!({"rules": [{"http": {"paths": []}}]}), json!({"rules": [{"host": "."}]})] {
            let ingress = json!({"metadata": {"namespace": "n", "name": "a"}, "spec": spec});
            assert_eq!(Rules::of(&serde_json::from_value(ingress).unwrap()), None);
        }
    }
}
