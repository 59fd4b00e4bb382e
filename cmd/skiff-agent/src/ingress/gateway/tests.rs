//! Gateways and routes in, the table and the status out.

use std::net::IpAddr;

use http::Request;
use serde_json::{Value, json};

use super::status::{Change, changes};
use crate::ingress::{
    compile::{CertCache, Compiled, compile},
    objects::{Id, Objects},
    table::{Action, Asked, Route},
    tests::{objects, service},
};

/// A cluster with one gateway of ours: plain HTTP for all hosts, HTTPS for those below `s.test`.
fn cluster(routes: &[Value]) -> Objects {
    let mut all = objects(&["a", "b", "c"].map(|name| service(name, &[])).concat());
    let class = json!({"metadata": {"name": "skiff"}, "spec": {"controllerName": "skiff.dev/ingress"}});
    all.gateway.classes.insert(Id::new("", "skiff"), serde_json::from_value(class).unwrap());
    let gateway = json!({
        "metadata": {"name": "gate", "namespace": "default", "generation": 3},
        "spec": {"gatewayClassName": "skiff", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.s.test"},
            {"name": "tcp", "port": 9000, "protocol": "TCP"},
        ]},
    });
    all.gateway.gateways.insert(Id::new("default", "gate"), serde_json::from_value(gateway).unwrap());
    for (index, spec) in routes.iter().enumerate() {
        let name = format!("r{index}");
        let mut spec = spec.clone();
        if spec["parentRefs"].is_null() {
            spec["parentRefs"] = json!([{"name": "gate", "sectionName": "http"}]);
        }
        let route = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
        all.gateway.routes.insert(Id::new("default", &name), serde_json::from_value(route).unwrap());
    }
    all
}

fn compiled(routes: &[Value]) -> Compiled {
    compile(&cluster(routes), &mut CertCache::default())
}

fn to(service: &str) -> Value {
    json!([{"name": service, "port": 80}])
}

fn find(compiled: &Compiled, secure: bool, request: http::request::Builder) -> Option<&Route> {
    let (head, ()) = request.body(()).unwrap().into_parts();
    let host = head.uri.host().unwrap().to_owned();
    let asked = Asked { secure, host: &host, path: head.uri.path(), head: &head };
    compiled.table.find(&asked).map(|route| &**route)
}

fn goes(compiled: &Compiled, request: http::request::Builder) -> String {
    match find(compiled, false, request).map(|route| &route.action) {
        Some(Action::Forward(split)) => {
            split.shares.iter().map(|share| share.upstream.as_ref().map_or("?", |one| &one.name[8..9])).collect()
        }
        _ => "nowhere".to_owned(),
    }
}

#[test]
fn requests_are_matched_by_all_that_a_rule_names() {
    let compiled = compiled(&[json!({"hostnames": ["x.test"], "rules": [
        {"backendRefs": to("a")},
        {"matches": [{"path": {"value": "/v2"}, "headers": [{"name": "version", "value": "two"}]}], "backendRefs": to("b")},
        {"matches": [{"path": {"value": "/v2"}, "method": "POST"}], "backendRefs": to("c")},
        {"matches": [{"queryParams": [{"name": "q", "value": "a b"}]}, {"path": {"type": "Exact", "value": "/exact"}}], "backendRefs": to("c")},
        {"matches": [{"headers": [{"name": "color", "type": "RegularExpression", "value": "blue|green"}]}], "backendRefs": to("b")},
    ]})]);
    for (request, expected) in [
        (Request::get("http://x.test/"), "a"),
        (Request::get("http://y.test/"), "nowhere"),
        (Request::get("http://x.test/v2"), "a"),
        (Request::get("http://x.test/v2/x").header("version", "two"), "b"),
        (Request::post("http://x.test/v2").header("version", "two"), "c"),
        (Request::get("http://x.test/?q=a+b"), "c"),
        (Request::get("http://x.test/exact"), "c"),
        (Request::get("http://x.test/exact/no"), "a"),
        (Request::get("http://x.test/").header("color", "green"), "b"),
        (Request::get("http://x.test/").header("color", "greenish"), "a"),
    ] {
        let text = format!("{request:?}");
        assert_eq!(goes(&compiled, request), expected, "{text}");
    }
}

#[test]
fn routes_belong_to_listeners_that_share_a_host_with_them() {
    let any = json!([{"name": "gate"}]);
    let compiled = compiled(&[
        json!({"parentRefs": any, "hostnames": ["x.s.test", "y.test"], "rules": [{"backendRefs": to("a")}]}),
        json!({"parentRefs": any, "hostnames": ["*.s.test"], "rules": [{"backendRefs": to("b")}]}),
    ]);
    let name = |secure, url: &str| find(&compiled, secure, Request::get(url)).map_or("-", |route| &route.name);
    for (secure, url, expected) in [
        (true, "http://x.s.test/", "default/r0"),
        (true, "http://a.b.s.test/", "default/r1"),
        (true, "http://y.test/", "-"),
        (false, "http://y.test/", "default/r0"),
        (false, "http://s.test/", "-"),
    ] {
        assert_eq!(name(secure, url), expected, "{url} {secure}");
    }
}

#[test]
fn shares_and_filters_are_taken_over() {
    let compiled = compiled(&[json!({"rules": [{
        "matches": [{"path": {"value": "/old"}}],
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "1"}], "remove": ["b"]}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "in.test", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}},
        ],
        "backendRefs": [{"name": "a", "port": 80, "weight": 9}, {"name": "b", "port": 80, "weight": 1}],
        "timeouts": {"request": "10s"},
    }]})]);
    let route = find(&compiled, false, Request::get("http://any.test/old/x")).unwrap();
    let Action::Forward(split) = &route.action else { panic!("{route:?}") };
    assert_eq!(split.shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [9, 1]);
    assert_eq!(route.policy.rewrite.as_ref().unwrap().apply("/old/x"), "/new/x");
    assert_eq!(route.policy.upstream_host.as_ref().unwrap(), "in.test");
    assert_eq!(route.policy.timeouts.read.as_secs(), 10);
    assert_eq!((route.policy.request_headers.set.len(), route.policy.request_headers.remove.len()), (1, 1));
}

/// The conditions of the only parent of a route, as `type=status reason`.
fn told(objects: &Objects, route: &str) -> Vec<String> {
    let compiled = compile(objects, &mut CertCache::default());
    let all = changes(objects, &compiled.gateway, &[]);
    let status = all.iter().find_map(|change| match change {
        Change::Route(id, status) if id.name == route => Some(status["parents"][0]["conditions"].clone()),
        _ => None,
    });
    let text = |one: &Value| {
        format!(
            "{}={} {}",
            one["type"].as_str().unwrap(),
            one["status"].as_str().unwrap(),
            one["reason"].as_str().unwrap()
        )
    };
    status.unwrap_or_default().as_array().into_iter().flatten().map(text).collect()
}

#[test]
fn what_is_wrong_with_a_route_is_in_its_status() {
    for (spec, expected) in [
        (json!({"rules": [{"backendRefs": to("a")}]}), ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"]),
        (
            json!({"rules": [{"backendRefs": to("nobody")}]}),
            ["Accepted=True Accepted", "ResolvedRefs=False BackendNotFound"],
        ),
        (
            json!({"rules": [{"backendRefs": [{"name": "a", "namespace": "other", "port": 80}]}]}),
            ["Accepted=True Accepted", "ResolvedRefs=False RefNotPermitted"],
        ),
        (
            json!({"rules": [{"backendRefs": [{"name": "a", "kind": "Bucket"}]}]}),
            ["Accepted=True Accepted", "ResolvedRefs=False InvalidKind"],
        ),
        (
            json!({"rules": [{"filters": [{"type": "RequestMirror"}]}]}),
            ["Accepted=False UnsupportedValue", "ResolvedRefs=True ResolvedRefs"],
        ),
        (
            json!({"parentRefs": [{"name": "gate", "sectionName": "none"}]}),
            ["Accepted=False NoMatchingParent", "ResolvedRefs=True ResolvedRefs"],
        ),
        (
            json!({"parentRefs": [{"name": "gate", "sectionName": "https"}], "hostnames": ["z.test"]}),
            ["Accepted=False NoMatchingListenerHostname", "ResolvedRefs=True ResolvedRefs"],
        ),
    ] {
        assert_eq!(told(&cluster(std::slice::from_ref(&spec)), "r0"), expected, "{spec}");
    }
}

#[test]
fn a_status_that_says_it_already_is_left_alone() {
    let mut objects = cluster(&[json!({"rules": [{"backendRefs": to("a")}]})]);
    let compiled = compile(&objects, &mut CertCache::default());
    let addresses: [IpAddr; 1] = ["192.0.2.1".parse().unwrap()];
    let first = changes(&objects, &compiled.gateway, &addresses);
    assert_eq!(first.len(), 3);
    for change in first {
        match change {
            Change::Class(id, status) => objects.gateway.classes.get_mut(&id).unwrap().status = status,
            Change::Gateway(id, status) => {
                assert_eq!(status["addresses"][0]["value"], "192.0.2.1");
                assert_eq!(status["listeners"][0]["attachedRoutes"], 1);
                assert_eq!(status["listeners"][2]["conditions"][0]["reason"], "UnsupportedProtocol");
                objects.gateway.gateways.get_mut(&id).unwrap().status = status;
            }
            Change::Route(id, status) => objects.gateway.routes.get_mut(&id).unwrap().status = status,
        }
    }
    assert_eq!(changes(&objects, &compiled.gateway, &addresses), []);
}

#[test]
fn gateways_of_others_are_left_alone() {
    let mut objects = cluster(&[json!({"rules": [{"backendRefs": to("a")}]})]);
    objects.gateway.classes.values_mut().for_each(|class| class.spec.controller_name = "other".to_owned());
    let compiled = compile(&objects, &mut CertCache::default());
    assert_eq!((compiled.table.len(), changes(&objects, &compiled.gateway, &[]).len()), (0, 0));
}
