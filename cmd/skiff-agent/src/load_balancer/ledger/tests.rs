use super::*;

fn service(name: &str) -> Service {
    Service {
        key: key(name),
        uid: name.to_owned(),
        wants: true,
        ports: vec![("TCP".to_owned(), 80)],
        ..Service::default()
    }
}

fn with_address(name: &str, address: &str) -> Service {
    Service { has: vec![address.to_owned()], ..service(name) }
}

fn asking(name: &str, address: &str) -> Service {
    Service { asks: Some(address.to_owned()), ..service(name) }
}

fn key(name: &str) -> Key {
    Key { namespace: "default".to_owned(), name: name.to_owned() }
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// Of 10.0.0.12/30 in 10.0.0.0/28 these can be had: 12, 13, 14.
fn verdicts<const N: usize>(services: [Service; N]) -> BTreeMap<String, Verdict> {
    let pool = Pool::new("10.0.0.12/30".parse().unwrap(), "10.0.0.0/28".parse().unwrap(), []);
    let services = services.into_iter().map(|service| (service.key.clone(), service)).collect();
    judge(&services, &pool).into_iter().map(|(key, verdict)| (key.name, verdict)).collect()
}

fn refusal(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Refuse(reason) => reason,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn the_first_free_addresses_are_given_in_order_of_age() {
    let young = Service { created: "2026-02".to_owned(), ..service("a") };
    let old = Service { created: "2026-01".to_owned(), ..service("b") };
    let all = verdicts([young, old, with_address("c", "10.0.0.12")]);
    assert_eq!(all["c"], Verdict::Keep(address(12)));
    assert_eq!(all["b"], Verdict::Give(address(13)));
    assert_eq!(all["a"], Verdict::Give(address(14)));
}

#[test]
fn an_address_that_is_asked_for_is_given_before_any_other() {
    let all = verdicts([service("a"), asking("z", "10.0.0.12")]);
    assert_eq!(all["z"], Verdict::Give(address(12)));
    assert_eq!(all["a"], Verdict::Give(address(13)));
}

#[test]
fn a_service_moves_when_it_asks_for_another_address() {
    let all = verdicts([Service { asks: Some("10.0.0.14".to_owned()), ..with_address("a", "10.0.0.12") }]);
    assert_eq!(all["a"], Verdict::Give(address(14)));
}

#[test]
fn services_share_an_address_unless_their_ports_clash() {
    let udp = Service { ports: vec![("UDP".to_owned(), 80)], ..asking("b", "10.0.0.12") };
    let all = verdicts([with_address("a", "10.0.0.12"), udp, asking("c", "10.0.0.12")]);
    assert_eq!(all["a"], Verdict::Keep(address(12)));
    assert_eq!(all["b"], Verdict::Give(address(12)));
    assert_eq!(refusal(&all["c"]), "default/a has 10.0.0.12 port 80/TCP");
}

#[test]
fn of_two_with_one_address_the_older_keeps_it() {
    let old = Service { created: "2026-01".to_owned(), ..with_address("b", "10.0.0.12") };
    let young = Service { created: "2026-02".to_owned(), ..with_address("a", "10.0.0.12") };
    let all = verdicts([young, old]);
    assert_eq!(all["b"], Verdict::Keep(address(12)));
    assert_eq!(all["a"], Verdict::Give(address(13)));
}

#[test]
fn what_cannot_be_had_is_refused_with_the_reason() {
    let all = verdicts([asking("a", "10.0.0.2"), asking("b", "10.0.0.15"), asking("c", "fd00::1")]);
    assert_eq!(refusal(&all["a"]), "loadBalancerIP 10.0.0.2 is not one of 10.0.0.12/30, the addresses of this cluster");
    assert!(refusal(&all["b"]).contains("10.0.0.15"), "the broadcast address");
    assert_eq!(refusal(&all["c"]), "loadBalancerIP fd00::1 is not an IPv4 address");
    let all = verdicts(["a", "b", "c", "d"].map(service));
    assert_eq!(refusal(&all["d"]), "every address of 10.0.0.12/30 is taken");
}

#[test]
fn addresses_that_somebody_else_wrote_are_left_alone() {
    let all = verdicts([with_address("a", "127.0.0.1"), with_address("b", "example.test")]);
    assert_eq!((&all["a"], &all["b"]), (&Verdict::Leave, &Verdict::Leave));
}

#[test]
fn our_own_address_of_a_range_that_is_no_more_is_replaced() {
    let all = verdicts([Service { written_here: true, ..with_address("a", "10.9.9.9") }]);
    assert_eq!(all["a"], Verdict::Give(address(12)));
}

#[test]
fn who_wants_no_address_any_more_loses_it() {
    let unwilling = |service: Service| Service { wants: false, ..service };
    let all = verdicts([unwilling(with_address("a", "10.0.0.12")), unwilling(with_address("b", "127.0.0.1"))]);
    assert_eq!((&all["a"], &all["b"]), (&Verdict::Clear, &Verdict::Leave));
}
