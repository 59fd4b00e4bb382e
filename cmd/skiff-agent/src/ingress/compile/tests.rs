//! Tables of cases: objects in, routes out.

use http::Request;

use super::*;
use crate::ingress::{
    policy::Rewrite,
    table::{Action, Asked, Protocol, Route, normal_path},
    tests::{ingress, objects, service},
};

fn compiled(yaml: &str) -> Compiled {
    compile(&objects(yaml), &mut CertCache::default())
}

/// Where a request goes: the name of the ingress and the backend.
fn goes(compiled: &Compiled, host: &str, path: &str) -> String {
    find(compiled, host, path).map_or("nowhere".to_owned(), |route| match &route.action {
        Action::Refuse(status) => status.as_u16().to_string(),
        Action::Forward(split) => {
            let upstream = split.shares[0].upstream.as_ref();
            upstream.map_or("missing".to_owned(), |upstream| upstream.name.trim_start_matches("default/").to_owned())
        }
    })
}

fn find<'a>(compiled: &'a Compiled, host: &str, path: &str) -> Option<&'a Route> {
    let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
    let normal = normal_path(head.uri.path()).into_owned();
    let asked = Asked { secure: false, host, path: &normal, head: &head };
    compiled.table.find(&asked).map(|route| &**route)
}

fn rules(host: &str, paths: &[(&str, &str, &str)]) -> String {
    let paths: String = paths
        .iter()
        .map(|(path, kind, service)| {
            format!(
                "\n      - {{path: {path:?}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}"
            )
        })
        .collect();
    let services: String = ["a", "b", "c", "d"].map(|name| service(name, &[])).concat();
    format!(
        "{services}kind: Ingress\nmetadata: {{name: i}}\nspec:\n  ingressClassName: skiff\n  rules:\n  - host: {host:?}\n    \
         http:\n      paths:{paths}\n"
    )
}

#[test]
fn paths_match_as_the_specification_has_it() {
    for (path, kind, asked, matches) in [
        ("/", "Prefix", "/any/thing", true),
        ("/foo", "Exact", "/foo", true),
        ("/foo", "Exact", "/bar", false),
        ("/foo", "Exact", "/foo/", false),
        ("/foo/", "Exact", "/foo", false),
        ("/foo", "Prefix", "/foo", true),
        ("/foo", "Prefix", "/foo/", true),
        ("/foo/", "Prefix", "/foo", true),
        ("/foo/", "Prefix", "/foo/", true),
        ("/aaa/bb", "Prefix", "/aaa/bbb", false),
        ("/aaa/bbb", "Prefix", "/aaa/bbb", true),
        ("/aaa/bbb/", "Prefix", "/aaa/bbb", true),
        ("/aaa/bbb", "Prefix", "/aaa/bbb/ccc", true),
        ("/aaa/bbb", "Prefix", "/aaa/bbbxyz", false),
        ("/foo", "Prefix", "/FOO", false),
        ("/foo", "ImplementationSpecific", "/foo/bar", true),
        ("/foo", "Prefix", "/x/../foo", true),
    ] {
        let compiled = compiled(&rules("x.test", &[(path, kind, "a")]));
        let expected = if matches { "a:80" } else { "nowhere" };
        assert_eq!(goes(&compiled, "x.test", asked), expected, "{kind} {path} asked for {asked}");
    }
}

#[test]
fn the_exact_and_the_longest_path_win() {
    let compiled = compiled(&rules(
        "x.test",
        &[("/", "Prefix", "a"), ("/foo", "Prefix", "b"), ("/foo/bar", "Prefix", "c"), ("/foo", "Exact", "d")],
    ));
    for (path, expected) in [
        ("/", "a:80"),
        ("/foo", "d:80"),
        ("/foo/", "b:80"),
        ("/foo/bar/x", "c:80"),
        ("/foo/barx", "b:80"),
        ("/f", "a:80"),
    ] {
        assert_eq!(goes(&compiled, "x.test", path), expected, "{path}");
    }
}

#[test]
fn the_nearest_host_wins_and_what_it_does_not_match_goes_on() {
    let yaml = [
        ["a", "b", "c"].map(|name| service(name, &[])).concat(),
        ingress("exact", &[], "x.y.test", "/only", "a"),
        ingress("wild", &[], "*.y.test", "/", "b"),
        ingress("all", &[], "", "/all", "c"),
    ]
    .concat();
    let compiled = compiled(&yaml);
    for (host, path, expected) in [
        ("x.y.test", "/only", "a:80"),
        ("x.y.test", "/other", "b:80"),
        ("z.y.test", "/only", "b:80"),
        ("y.test", "/all/x", "c:80"),
        ("deep.x.y.test", "/", "nowhere"),
        ("deep.x.y.test", "/all", "c:80"),
        ("", "/all", "c:80"),
    ] {
        assert_eq!(goes(&compiled, host, path), expected, "{host}{path}");
    }
}

#[test]
fn expressions_and_prefixes_are_ordered_by_length() {
    let services = ["a", "b", "c"].map(|name| service(name, &[])).concat();
    let regex = [("use-regex", "true")];
    let compiled = compiled(
        &[
            services,
            ingress("one", &regex, "x.test", "/api/(v1|v2)/.*", "a"),
            ingress("two", &[], "x.test", "/api", "b"),
            ingress("three", &regex, "x.test", "/.*\\.png$", "c"),
        ]
        .concat(),
    );
    for (path, expected) in [
        ("/api/v1/x", "a:80"),
        ("/API/V2/", "a:80"),
        ("/api/v3/x", "b:80"),
        ("/api/x.png", "c:80"),
        ("/x.png", "c:80"),
        ("/x.pngx", "nowhere"),
        ("/y/api/v1/", "nowhere"),
    ] {
        assert_eq!(goes(&compiled, "x.test", path), expected, "{path}");
    }
}

#[test]
fn default_backends_take_the_rest() {
    let services = ["a", "b"].map(|name| service(name, &[])).concat();
    let yaml = [
        services,
        ingress("rules", &[], "x.test", "/a", "a"),
        "kind: Ingress\nmetadata: {name: rest}\nspec:\n  ingressClassName: nginx\n  defaultBackend: {service: {name: b, port: \
         {number: 80}}}\n"
            .to_owned(),
    ]
    .concat();
    let compiled = compiled(&yaml);
    for (host, path, expected) in [("x.test", "/a", "a:80"), ("x.test", "/b", "b:80"), ("y.test", "/", "b:80")] {
        assert_eq!(goes(&compiled, host, path), expected, "{host}{path}");
    }
}

#[test]
fn ingresses_are_served_by_their_class() {
    let class = |name: &str, controller: &str, default: bool| {
        format!(
            "kind: IngressClass\nmetadata: {{name: {name}, annotations: {{ingressclass.kubernetes.io/is-default-class: \
             \"{default}\"}}}}\nspec: {{controller: {controller}}}\n---\n"
        )
    };
    let own = class("skiff", CONTROLLER, true);
    let foreign = class("nginx", "k8s.io/ingress-nginx", false);
    let other = class("mine", CONTROLLER, false);
    for (classes, wanted, served) in [
        (String::new(), "ingressClassName: skiff", true),
        (String::new(), "ingressClassName: nginx", true),
        (String::new(), "ingressClassName: traefik", false),
        (String::new(), "note: plain", false),
        (own.clone(), "note: plain", true),
        (other.clone(), "ingressClassName: mine", true),
        (other, "note: plain", false),
        ([own, foreign].concat(), "ingressClassName: nginx", false),
    ] {
        let yaml = ingress("a", &[], "x.test", "/", "a").replace("ingressClassName: nginx", wanted);
        let compiled = compiled(&[&classes, yaml.as_str()].concat());
        assert_eq!(compiled.served.len() == 1, served, "{wanted} with {classes}");
    }
    let old = ingress("a", &[], "x.test", "/", "a").replace("ingressClassName: nginx", "note: plain");
    let old = old.replace("note: plain\nspec", "kubernetes.io/ingress.class: nginx\nspec");
    assert_eq!(compiled(&old).served.len(), 1);
}

#[test]
fn of_two_rules_for_the_same_requests_the_older_stays() {
    let older =
        |yaml: String, time: &str| yaml.replace("metadata:\n", &format!("metadata:\n  creationTimestamp: {time:?}\n"));
    let yaml = [
        ["a", "b"].map(|name| service(name, &[])).concat(),
        older(ingress("a", &[], "x.test", "/", "a"), "2026-01-02T00:00:00Z"),
        older(ingress("b", &[], "x.test", "/", "b"), "2026-01-01T00:00:00Z"),
    ]
    .concat();
    let compiled = compiled(&yaml);
    assert_eq!(goes(&compiled, "x.test", "/"), "b:80");
    let problems: Vec<String> = compiled.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["Ingress default/a: path / of host x.test is served already"]);
}

#[test]
fn endpoints_are_those_that_are_ready_or_at_least_answer() {
    let slice = |name: &str, ready: &str| {
        format!(
            "kind: EndpointSlice\nmetadata: {{name: {name}, labels: {{kubernetes.io/service-name: a}}}}\nports: [{{name: web, \
             port: 8080}}, {{name: other, port: 9}}]\nendpoints: [{ready}]\n---\n"
        )
    };
    let service = "kind: Service\nmetadata: {name: a}\nspec: {ports: [{name: web, port: 80}]}\n---\n";
    let ready = "{addresses: [10.0.0.2], conditions: {ready: true}}, {addresses: [10.0.0.1], conditions: {}}";
    let leaving = "{addresses: [10.0.0.3], conditions: {ready: false, serving: true}}";
    let down = "{addresses: [10.0.0.4], conditions: {ready: false}}";
    let six = "{addresses: ['fd00::1'], conditions: {ready: true}}";
    for (slices, expected) in [
        (vec![ready, leaving], vec!["10.0.0.1:8080", "10.0.0.2:8080"]),
        (vec![leaving, down], vec!["10.0.0.3:8080"]),
        (vec![ready, six], vec!["10.0.0.1:8080", "10.0.0.2:8080"]),
        (vec![six], vec!["[fd00::1]:8080"]),
        (vec![down], vec![]),
    ] {
        let yaml: String = slices.iter().enumerate().map(|(index, text)| slice(&format!("s{index}"), text)).collect();
        let compiled = compiled(&[service, &yaml, &ingress("i", &[], "x.test", "/", "a")].concat());
        let upstream = compiled.table.upstream("default/a:80", Protocol::Http).unwrap();
        let found: Vec<String> = upstream.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_is_wrong_with_an_ingress_is_all_said() {
    let yaml = [
        "kind: Service\nmetadata: {name: ext}\nspec: {type: ExternalName, externalName: x.test, ports: [{port: 80}]}\n---\n"
            .to_owned(),
        service("a", &[]).replace("port: 80", "port: 81"),
        ingress("one", &[("proxy-body-size", "many"), ("limit-rps", "5")], "1.test", "/", "nothing"),
        ingress("two", &[], "2.test", "/", "ext"),
        ingress("three", &[], "3.test", "/", "a"),
        ingress("four", &[("use-regex", "true")], "4.test", "/(", "a"),
    ]
    .concat();
    let mut objects = objects(&yaml);
    objects.names.insert("x.test".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    let compiled = compile(&objects, &mut CertCache::default());
    let mut problems: Vec<String> = compiled.problems.iter().map(ToString::to_string).collect();
    problems.sort();
    let expected = [
        "Ingress default/four: path /( is no expression",
        "Ingress default/four: service default/a has no port 80",
        "Ingress default/one: annotation proxy-body-size: \"many\" is no size such as 8m",
        "Ingress default/one: there is no service default/nothing",
        "Ingress default/one: these annotations are not supported and have no effect: limit-rps",
        "Ingress default/three: service default/a has no port 80",
        "Ingress default/two: x.test, which service default/ext stands for, has no address that may be used",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn a_service_that_stands_for_a_name_leads_to_its_addresses() {
    let external = |ports: &str| {
        format!(
            "kind: Service\nmetadata: {{name: ext}}\nspec: {{type: ExternalName, externalName: x.test.{ports}}}\n---\n"
        )
    };
    for (ports, known, endpoints) in [
        ("", None, vec![]),
        ("", Some(vec!["192.0.2.1", "192.0.2.2", "127.0.0.1"]), vec!["192.0.2.1:80", "192.0.2.2:80"]),
        (", ports: [{port: 80, targetPort: 8080}]", Some(vec!["192.0.2.1"]), vec!["192.0.2.1:8080"]),
        (", ports: [{port: 80}]", Some(vec!["2001:db8::1"]), vec!["[2001:db8::1]:80"]),
    ] {
        let mut objects = objects(&[external(ports), ingress("i", &[], "x.test", "/", "ext")].concat());
        objects.names.extend(
            known.map(|known| {
                ("x.test".to_owned(), known.into_iter().map(|address| address.parse().unwrap()).collect())
            }),
        );
        let compiled = compile(&objects, &mut CertCache::default());
        assert_eq!(compiled.names, ["x.test".to_owned()].into(), "the name is asked for, known or not");
        assert_eq!(compiled.problems, []);
        let found: Vec<String> =
            compiled.table.upstreams.values().flat_map(|one| &one.endpoints).map(ToString::to_string).collect();
        assert_eq!(found, endpoints, "{ports}");
    }
}

#[test]
fn a_rewrite_knows_the_groups_of_its_own_path() {
    let annotations = [("rewrite-target", "/$1")];
    let compiled = compiled(&ingress("a", &annotations, "x.test", "/pre/(.*)", "a"));
    let route = find(&compiled, "x.test", "/pre/fix").unwrap();
    let rewrite = route.policy.rewrite.as_ref().map(|rewrite: &Rewrite| rewrite.apply("/pre/fix"));
    assert_eq!(rewrite.as_deref(), Some("/fix"));
}

#[test]
fn more_hosts_share_the_rules() {
    let yaml = [service("a", &[]), ingress("i", &[("server-alias", "y.test, *.z.test")], "x.test", "/", "a")].concat();
    let compiled = compiled(&yaml);
    for host in ["x.test", "y.test", "q.z.test"] {
        assert_eq!(goes(&compiled, host, "/"), "a:80", "{host}");
    }
}

#[test]
fn a_thousand_ingresses_are_all_found() {
    let mut yaml = service("a", &["10.0.0.1:80".parse().unwrap()]);
    for index in 0..1000 {
        yaml.push_str(&ingress(&format!("i{index}"), &[], &format!("h{index}.test"), &format!("/p{index}"), "a"));
    }
    let objects = objects(&yaml);
    let compiled = compile(&objects, &mut CertCache::default());
    for index in 0..1000 {
        assert_eq!(goes(&compiled, &format!("h{index}.test"), &format!("/p{index}/x")), "a:80");
        assert_eq!(goes(&compiled, &format!("h{index}.test"), "/other"), "nowhere");
    }
    assert_eq!(compiled.table.len(), 1000);
}
