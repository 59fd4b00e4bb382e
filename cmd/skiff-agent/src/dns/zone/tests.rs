//! The zone against the specification, paragraph by paragraph.

use std::{collections::HashSet, net::IpAddr};

use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{
    records::{Endpoint, Port, Service, Slice, Target, dashed, undashed},
    *,
};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port(name: &str, protocol: &'static str, number: u16) -> Port {
    Port { name: name.to_owned(), protocol, number }
}

fn service(name: &str, target: Target, ports: Vec<Port>) -> Service {
    let (namespace, name) = ("default".to_owned(), name.to_owned());
    Service { namespace, name, target, ports, publish_not_ready: false }
}

fn cluster_ip(name: &str, addresses: &[&str], ports: Vec<Port>) -> Service {
    service(name, Target::Addresses(addresses.iter().map(|text| ip(text)).collect()), ports)
}

fn endpoint(address: &str, hostname: Option<&str>, ready: bool) -> Endpoint {
    Endpoint { addresses: vec![ip(address)], hostname: hostname.map(str::to_owned), ready }
}

fn slice(name: &str, service: &str, endpoints: Vec<Endpoint>, ports: Vec<Port>) -> Slice {
    let (namespace, name, service) = ("default".to_owned(), name.to_owned(), service.to_owned());
    Slice { namespace, name, service, endpoints, ports }
}

fn empty_zone() -> Zone {
    let config = ZoneConfig {
        domain: name("cluster.local."),
        ttl: 5,
        dns_service: ("kube-system".to_owned(), "kube-dns".to_owned()),
        local_networks: vec!["10.3.0.0/16".parse().unwrap()],
        hosts: vec![(name("host.skiff.internal."), IpAddr::from([192, 168, 49, 1]))],
    };
    let mut zone = Zone::new(config, 1);
    zone.replace_namespaces(HashSet::from(["default".to_owned(), "kube-system".to_owned()]));
    zone
}

/// The cluster of the specification's examples.
fn zone() -> Zone {
    let mut zone = empty_zone();
    zone.apply_service(cluster_ip("kubernetes", &["10.3.0.1"], vec![port("https", "tcp", 443), port("", "udp", 1)]));
    zone.apply_service(service("headless", Target::Headless, vec![port("https", "tcp", 80)]));
    zone.apply_slice(slice(
        "headless-b",
        "headless",
        vec![endpoint("10.3.0.100", Some("my-pet"), true), endpoint("10.3.0.101", Some("my-pet-2"), true)],
        vec![port("https", "tcp", 443)],
    ));
    zone.apply_slice(slice(
        "headless-c",
        "headless",
        vec![endpoint("10.3.0.102", None, true), endpoint("10.3.0.103", None, false)],
        vec![port("https", "tcp", 443)],
    ));
    zone.apply_service(service("foo", Target::External(name("www.example.com.")), vec![]));
    let mut dns = cluster_ip("kube-dns", &["10.3.0.10"], vec![]);
    dns.namespace = "kube-system".to_owned();
    zone.apply_service(dns);
    zone
}

/// The answers as text, in order.
fn ask(zone: &Zone, question: &str, kind: RecordType) -> Vec<String> {
    match zone.lookup(&name(question), kind) {
        Outcome::Found { answers, .. } => answers.iter().map(Record::to_string).collect(),
        Outcome::Alias { record, .. } => vec![record.to_string()],
        Outcome::NoData(_) => vec!["NODATA".to_owned()],
        Outcome::NxDomain(_) => vec!["NXDOMAIN".to_owned()],
        Outcome::Foreign => vec!["FOREIGN".to_owned()],
    }
}

#[track_caller]
fn check(question: &str, kind: RecordType, answers: &[&str]) {
    assert_eq!(ask(&zone(), question, kind), answers, "{question} {kind}");
}

#[test]
fn schema_version() {
    check("dns-version.cluster.local.", RecordType::TXT, &["dns-version.cluster.local. 5 IN TXT 1.1.0"]);
    check("dns-version.cluster.local.", RecordType::A, &["NODATA"]);
}

#[test]
fn cluster_ip_address() {
    let question = "kubernetes.default.svc.cluster.local.";
    check(question, RecordType::A, &["kubernetes.default.svc.cluster.local. 5 IN A 10.3.0.1"]);
    check(question, RecordType::AAAA, &["NODATA"]);
    check(question, RecordType::MX, &["NODATA"]);
}

#[test]
fn dual_stack_addresses_go_by_family() {
    let mut zone = zone();
    zone.apply_service(cluster_ip("two", &["10.3.0.2", "fd00::2"], vec![]));
    let question = "two.default.svc.cluster.local.";
    assert_eq!(ask(&zone, question, RecordType::A), [format!("{question} 5 IN A 10.3.0.2")]);
    assert_eq!(ask(&zone, question, RecordType::AAAA), [format!("{question} 5 IN AAAA fd00::2")]);
    assert_eq!(ask(&zone, question, RecordType::ANY).len(), 2);
    let reverse = Name::from(ip("fd00::2")).to_string();
    assert_eq!(ask(&zone, &reverse, RecordType::PTR), [format!("{reverse} 5 IN PTR {question}")]);
}

#[test]
fn cluster_ip_srv_has_the_address_beside_it() {
    let question = name("_https._tcp.kubernetes.default.svc.cluster.local.");
    let Outcome::Found { answers, additionals } = zone().lookup(&question, RecordType::SRV) else {
        panic!("nothing found")
    };
    let target = "kubernetes.default.svc.cluster.local.";
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].to_string(), format!("{question} 5 IN SRV 0 100 443 {target}"));
    assert_eq!(additionals[0].to_string(), format!("{target} 5 IN A 10.3.0.1"));
}

#[test]
fn a_port_that_does_not_exist_has_no_name() {
    check("_http._tcp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NXDOMAIN"]);
    check("_https._udp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NXDOMAIN"]);
    check("_._udp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NXDOMAIN"]);
    check("https._tcp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NXDOMAIN"]);
    check("_https._tcp.kubernetes.default.svc.cluster.local.", RecordType::A, &["NODATA"]);
}

#[test]
fn the_name_between_port_and_service_exists_but_is_empty() {
    check("_tcp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NODATA"]);
    check("_tcp.headless.default.svc.cluster.local.", RecordType::SRV, &["NODATA"]);
    check("_udp.kubernetes.default.svc.cluster.local.", RecordType::SRV, &["NXDOMAIN"]);
}

#[test]
fn srv_on_the_bare_service_lists_all_ports() {
    let question = "kubernetes.default.svc.cluster.local.";
    let answers =
        [format!("{question} 5 IN SRV 0 100 443 {question}"), format!("{question} 5 IN SRV 0 100 1 {question}")];
    assert_eq!(ask(&zone(), question, RecordType::SRV), answers);
}

#[test]
fn cluster_ip_ptr() {
    let question = "1.0.3.10.in-addr.arpa.";
    check(question, RecordType::PTR, &["1.0.3.10.in-addr.arpa. 5 IN PTR kubernetes.default.svc.cluster.local."]);
    check(question, RecordType::A, &["NODATA"]);
}

#[test]
fn headless_addresses_are_those_of_all_ready_endpoints() {
    let question = "headless.default.svc.cluster.local.";
    let answers: Vec<String> =
        ["100", "101", "102"].iter().map(|last| format!("{question} 5 IN A 10.3.0.{last}")).collect();
    assert_eq!(ask(&zone(), question, RecordType::A), answers);
    check(question, RecordType::AAAA, &["NODATA"]);
}

#[test]
fn headless_without_ready_endpoints_has_no_name() {
    let mut zone = zone();
    zone.replace_slices(vec![slice("s", "headless", vec![endpoint("10.3.0.100", None, false)], vec![])]);
    assert_eq!(ask(&zone, "headless.default.svc.cluster.local.", RecordType::A), ["NXDOMAIN"]);
    assert_eq!(ask(&zone, "10-3-0-100.headless.default.svc.cluster.local.", RecordType::A), ["NXDOMAIN"]);
}

#[test]
fn unready_endpoints_count_where_the_service_says_so() {
    let mut zone = zone();
    let mut published = service("headless", Target::Headless, vec![]);
    published.publish_not_ready = true;
    zone.apply_service(published);
    assert_eq!(ask(&zone, "headless.default.svc.cluster.local.", RecordType::A).len(), 4);
}

#[test]
fn headless_hosts_have_names_of_their_own() {
    check(
        "my-pet.headless.default.svc.cluster.local.",
        RecordType::A,
        &["my-pet.headless.default.svc.cluster.local. 5 IN A 10.3.0.100"],
    );
    check(
        "10-3-0-102.headless.default.svc.cluster.local.",
        RecordType::A,
        &["10-3-0-102.headless.default.svc.cluster.local. 5 IN A 10.3.0.102"],
    );
    check("10-3-0-103.headless.default.svc.cluster.local.", RecordType::A, &["NXDOMAIN"]);
    check("10-3-0-100.headless.default.svc.cluster.local.", RecordType::A, &["NXDOMAIN"]);
    check("my-pet.headless.default.svc.cluster.local.", RecordType::AAAA, &["NODATA"]);
}

#[test]
fn one_host_name_may_have_several_addresses() {
    let mut zone = zone();
    let endpoints = vec![endpoint("10.3.0.7", Some("twin"), true), endpoint("10.3.0.8", Some("twin"), true)];
    zone.apply_slice(slice("more", "headless", endpoints, vec![port("https", "tcp", 443)]));
    assert_eq!(ask(&zone, "twin.headless.default.svc.cluster.local.", RecordType::A).len(), 2);
    // One target: its addresses are all found under it.
    let srv = ask(&zone, "_https._tcp.headless.default.svc.cluster.local.", RecordType::SRV);
    assert_eq!(srv.iter().filter(|line| line.contains("twin")).count(), 1);
}

#[test]
fn headless_srv_has_one_record_for_each_host() {
    let question = "_https._tcp.headless.default.svc.cluster.local.";
    let hosts = ["my-pet", "my-pet-2", "10-3-0-102"];
    let answers: Vec<String> = hosts
        .iter()
        .map(|host| format!("{question} 5 IN SRV 0 100 443 {host}.headless.default.svc.cluster.local."))
        .collect();
    assert_eq!(ask(&zone(), question, RecordType::SRV), answers);
    let Outcome::Found { additionals, .. } = zone().lookup(&name(question), RecordType::SRV) else {
        panic!("nothing found")
    };
    assert_eq!(additionals.len(), 3);
}

#[test]
fn headless_ptr_names_the_host() {
    check(
        "100.0.3.10.in-addr.arpa.",
        RecordType::PTR,
        &["100.0.3.10.in-addr.arpa. 5 IN PTR my-pet.headless.default.svc.cluster.local."],
    );
    check("103.0.3.10.in-addr.arpa.", RecordType::PTR, &["NXDOMAIN"]);
}

#[test]
fn external_name_is_an_alias() {
    check(
        "foo.default.svc.cluster.local.",
        RecordType::A,
        &["foo.default.svc.cluster.local. 5 IN CNAME www.example.com."],
    );
    let outcome = zone().lookup(&name("foo.default.svc.cluster.local."), RecordType::AAAA);
    assert!(matches!(outcome, Outcome::Alias { target, .. } if target == name("www.example.com.")));
    let outcome = zone().lookup(&name("foo.default.svc.cluster.local."), RecordType::CNAME);
    assert!(matches!(outcome, Outcome::Found { .. }), "nobody who asks for the alias wants it followed");
}

#[test]
fn pod_records_spell_the_address() {
    check(
        "10-1-2-3.default.pod.cluster.local.",
        RecordType::A,
        &["10-1-2-3.default.pod.cluster.local. 5 IN A 10.1.2.3"],
    );
    check(
        "fd00--12.default.pod.cluster.local.",
        RecordType::AAAA,
        &["fd00--12.default.pod.cluster.local. 5 IN AAAA fd00::12"],
    );
    check("10-1-2-3.default.pod.cluster.local.", RecordType::AAAA, &["NODATA"]);
    check("10-1-2-3.nowhere.pod.cluster.local.", RecordType::A, &["NXDOMAIN"]);
    for bad in ["10-1-2", "10-1-2-256", "web", "10-1-2-3-4"] {
        check(&format!("{bad}.default.pod.cluster.local."), RecordType::A, &["NXDOMAIN"]);
    }
}

#[test]
fn comparisons_ignore_case_and_answers_keep_the_askers() {
    check(
        "KuberneTES.Default.SVC.cluster.LOCAL.",
        RecordType::A,
        &["KuberneTES.Default.SVC.cluster.LOCAL. 5 IN A 10.3.0.1"],
    );
    check("MY-pet.headless.default.svc.cluster.local.", RecordType::MX, &["NODATA"]);
}

#[test]
fn names_with_others_below_them_exist() {
    for branch in ["", "svc.", "pod.", "dns.", "default.svc.", "default.pod."] {
        check(&format!("{branch}cluster.local."), RecordType::A, &["NODATA"]);
    }
    for unknown in ["nope.", "nowhere.svc.", "nope.default.svc.", "a.b.c.d.e.svc.", "default.node."] {
        check(&format!("{unknown}cluster.local."), RecordType::A, &["NXDOMAIN"]);
    }
}

#[test]
fn the_apex_has_authority_and_a_name_server_with_an_address() {
    let answers = ask(&zone(), "cluster.local.", RecordType::SOA);
    assert!(answers[0].starts_with("cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. "));
    check("cluster.local.", RecordType::NS, &["cluster.local. 5 IN NS ns.dns.cluster.local."]);
    check("ns.dns.cluster.local.", RecordType::A, &["ns.dns.cluster.local. 5 IN A 10.3.0.10"]);
}

#[test]
fn negative_answers_carry_the_authority_that_limits_their_life() {
    for (question, kind) in [("nope.cluster.local.", RecordType::A), ("cluster.local.", RecordType::TXT)] {
        let (Outcome::NxDomain(soa) | Outcome::NoData(soa)) = zone().lookup(&name(question), kind) else {
            panic!("found {question}")
        };
        assert_eq!((soa.name.to_string().as_str(), soa.ttl), ("cluster.local.", 5));
        assert!(matches!(soa.data, RData::SOA(soa) if soa.minimum == 5));
    }
}

#[test]
fn names_outside_are_foreign() {
    for foreign in [".", "local.", "example.com.", "xcluster.local.", "cluster.local.example.com."] {
        check(foreign, RecordType::A, &["FOREIGN"]);
    }
}

#[test]
fn unknown_addresses_are_foreign_unless_they_belong_to_the_cluster() {
    check("1.2.0.192.in-addr.arpa.", RecordType::PTR, &["FOREIGN"]);
    check("3.10.in-addr.arpa.", RecordType::PTR, &["FOREIGN"]);
    check("99.0.3.10.in-addr.arpa.", RecordType::PTR, &["NXDOMAIN"]);
    check("x.0.3.10.in-addr.arpa.", RecordType::PTR, &["FOREIGN"]);
    let outcome = zone().lookup(&name("99.0.3.10.in-addr.arpa."), RecordType::PTR);
    assert!(matches!(outcome, Outcome::NxDomain(soa) if soa.name == name("in-addr.arpa.")));
}

#[test]
fn a_change_of_a_service_leaves_nothing_of_the_old_one() {
    let mut zone = zone();
    zone.apply_service(cluster_ip("kubernetes", &["10.3.0.9"], vec![]));
    assert_eq!(ask(&zone, "1.0.3.10.in-addr.arpa.", RecordType::PTR), ["NXDOMAIN"]);
    assert_eq!(ask(&zone, "9.0.3.10.in-addr.arpa.", RecordType::PTR).len(), 1);
    zone.remove_service("default", "kubernetes");
    assert_eq!(ask(&zone, "9.0.3.10.in-addr.arpa.", RecordType::PTR), ["NXDOMAIN"]);
    assert_eq!(ask(&zone, "kubernetes.default.svc.cluster.local.", RecordType::A), ["NXDOMAIN"]);
}

#[test]
fn endpoints_may_come_before_their_service_and_outlive_it() {
    let mut zone = empty_zone();
    zone.apply_slice(slice("s", "late", vec![endpoint("10.3.0.5", None, true)], vec![]));
    assert_eq!(ask(&zone, "late.default.svc.cluster.local.", RecordType::A), ["NXDOMAIN"]);
    zone.apply_service(service("late", Target::Headless, vec![]));
    assert_eq!(ask(&zone, "late.default.svc.cluster.local.", RecordType::A).len(), 1);
    zone.remove_service("default", "late");
    assert_eq!(ask(&zone, "5.0.3.10.in-addr.arpa.", RecordType::PTR), ["NXDOMAIN"]);
    zone.remove_slice("default", "s");
    assert_eq!(zone.size(), ZoneSize::default());
}

#[test]
fn an_address_shared_by_two_services_has_both_names_until_one_lets_go() {
    let mut zone = zone();
    zone.apply_service(service("other", Target::Headless, vec![]));
    zone.apply_slice(slice("other-a", "other", vec![endpoint("10.3.0.100", None, true)], vec![]));
    assert_eq!(ask(&zone, "100.0.3.10.in-addr.arpa.", RecordType::PTR).len(), 2);
    zone.remove_slice("default", "other-a");
    assert_eq!(ask(&zone, "100.0.3.10.in-addr.arpa.", RecordType::PTR).len(), 1);
}

#[test]
fn a_slice_that_changes_its_service_moves() {
    let mut zone = zone();
    zone.apply_service(service("other", Target::Headless, vec![]));
    zone.apply_slice(slice("headless-b", "other", vec![endpoint("10.3.0.100", None, true)], vec![]));
    assert_eq!(ask(&zone, "headless.default.svc.cluster.local.", RecordType::A).len(), 1);
    assert_eq!(ask(&zone, "other.default.svc.cluster.local.", RecordType::A).len(), 1);
}

#[test]
fn a_new_list_replaces_everything() {
    let mut zone = zone();
    zone.replace_services(vec![cluster_ip("new", &["10.3.0.20"], vec![])]);
    zone.replace_slices(vec![]);
    assert_eq!(zone.size(), ZoneSize { services: 1, addresses: 1 });
    assert_eq!(ask(&zone, "kubernetes.default.svc.cluster.local.", RecordType::A), ["NXDOMAIN"]);
    assert_eq!(ask(&zone, "new.default.svc.cluster.local.", RecordType::A).len(), 1);
}

#[test]
fn each_change_raises_the_serial() {
    let mut zone = zone();
    let before = ask(&zone, "cluster.local.", RecordType::SOA);
    zone.apply_namespace("more".to_owned());
    assert_ne!(ask(&zone, "cluster.local.", RecordType::SOA), before);
}

#[test]
fn dashed_addresses_read_back() {
    for address in ["10.0.0.1", "::1", "fe80::", "2001:db8::1:2", "::", "1:2:3:4:5:6:7:8"] {
        let label = dashed(ip(address));
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{label}");
        assert_eq!(undashed(&label), Some(ip(address)), "{label}");
    }
}

#[test]
fn a_name_of_the_hosts_own_is_known_without_asking_anybody() {
    let zone = zone();
    let found = |kind: RecordType| match zone.lookup(&name("Host.Skiff.Internal."), kind) {
        Outcome::Found { answers, .. } => answers.into_iter().map(|record| record.data).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(found(RecordType::A), [RData::A(std::net::Ipv4Addr::new(192, 168, 49, 1).into())]);
    assert!(matches!(zone.lookup(&name("host.skiff.internal."), RecordType::AAAA), Outcome::NoData(_)));
    assert_eq!(zone.lookup(&name("other.skiff.internal."), RecordType::A), Outcome::Foreign);
}
