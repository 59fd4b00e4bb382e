//! Gateways and routes in, the table and the status out.

use std::net::IpAddr;

use http::Request;
use serde_json::{Value, json};

use super::status::{Change, changes, nobody};
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
            json!({"rules": [{"filters": [{"type": "ExtensionRef"}]}]}),
            ["Accepted=False UnsupportedValue", "ResolvedRefs=True ResolvedRefs"],
        ),
        (
            json!({"rules": [{
                "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "none", "port": 80}}}],
                "backendRefs": to("a"),
            }]}),
            ["Accepted=True Accepted", "ResolvedRefs=False BackendNotFound"],
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
            Change::Class(id, status) => {
                assert_ne!(status["conditions"][0]["message"], "");
                objects.gateway.classes.get_mut(&id).unwrap().status = status;
            }
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

/// What is told about each listener of the only gateway, as `type=status reason`.
fn listeners(objects: &Objects) -> Vec<Vec<String>> {
    let compiled = compile(objects, &mut CertCache::default());
    let all = changes(objects, &compiled.gateway, &[]);
    let status = all.iter().find_map(|change| match change {
        Change::Gateway(_, status) => Some(status["listeners"].clone()),
        _ => None,
    });
    let text = |one: &Value| {
        ["type", "status", "reason"].map(|field| one[field].as_str().unwrap_or_default().to_owned()).join(" ")
    };
    let conditions = |one: &Value| one["conditions"].as_array().into_iter().flatten().map(text).collect();
    status.unwrap_or_default().as_array().into_iter().flatten().map(conditions).collect()
}

#[test]
fn listeners_that_cannot_be_served_say_why() {
    for (listener, expected) in [
        (json!({"name": "x", "port": 80, "protocol": "HTTP"}), "Accepted False HostnameConflict"),
        (json!({"name": "x", "port": 81, "protocol": "HTTP"}), "Accepted False PortUnavailable"),
        (
            json!({"name": "x", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}}),
            "Accepted False UnsupportedProtocol",
        ),
        (
            json!({"name": "x", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}}),
            "ResolvedRefs False InvalidRouteKinds",
        ),
        (
            json!({"name": "x", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "none"}]}}),
            "ResolvedRefs False InvalidCertificateRef",
        ),
        (
            json!({"name": "x", "port": 443, "protocol": "HTTPS",
                "tls": {"certificateRefs": [{"name": "there", "namespace": "other"}]}}),
            "ResolvedRefs False RefNotPermitted",
        ),
    ] {
        let mut objects = cluster(&[]);
        let gateway = objects.gateway.gateways.values_mut().next().unwrap();
        gateway.spec.listeners.push(serde_json::from_value(listener.clone()).unwrap());
        let told = listeners(&objects).pop().unwrap();
        assert!(told.iter().any(|one| one == expected), "{listener}: {told:?}");
    }
}

#[test]
fn a_listener_may_choose_namespaces_by_their_labels() {
    for (labels, expected) in
        [(json!({"team": "web"}), "Accepted=True Accepted"), (json!({}), "Accepted=False NotAllowedByListeners")]
    {
        let mut objects = cluster(&[]);
        let allowed = json!({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}});
        let gateway = objects.gateway.gateways.values_mut().next().unwrap();
        gateway.spec.listeners[0].allowed_routes = serde_json::from_value(allowed).unwrap();
        let namespace = json!({"metadata": {"name": "other", "labels": labels}});
        objects.gateway.namespaces.insert(Id::new("", "other"), serde_json::from_value(namespace).unwrap());
        let route = json!({"metadata": {"name": "far", "namespace": "other"},
            "spec": {"parentRefs": [{"name": "gate", "namespace": "default", "sectionName": "http"}]}});
        objects.gateway.routes.insert(Id::new("other", "far"), serde_json::from_value(route).unwrap());
        assert_eq!(told(&objects, "far")[0], expected);
    }
}

#[test]
fn a_grant_opens_services_of_other_namespaces() {
    let far = json!({"rules": [{"backendRefs": [{"name": "far", "namespace": "other", "port": 80}]}]});
    let mut objects = cluster(&[far]);
    let service = json!({"metadata": {"name": "far", "namespace": "other"}, "spec": {"ports": [{"port": 80}]}});
    objects.services.insert(Id::new("other", "far"), serde_json::from_value(service).unwrap());
    for (from, to, expected) in [
        ("default", "far", "ResolvedRefs=True ResolvedRefs"),
        ("default", "near", "ResolvedRefs=False RefNotPermitted"),
        ("third", "far", "ResolvedRefs=False RefNotPermitted"),
    ] {
        let grant = json!({"metadata": {"name": "grant", "namespace": "other"}, "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": from}],
            "to": [{"group": "", "kind": "Service", "name": to}],
        }});
        objects.gateway.grants.insert(Id::new("other", "grant"), serde_json::from_value(grant).unwrap());
        assert_eq!(told(&objects, "r0")[1], expected, "{from} {to}");
    }
}

#[test]
fn what_was_told_is_taken_back_when_nobody_serves_any_more() {
    let mut objects = cluster(&[json!({"rules": [{"backendRefs": to("a")}]})]);
    let others = json!({"controllerName": "other", "parentRef": {"name": "theirs"}, "conditions": []});
    let own = json!({"controllerName": "skiff.dev/ingress", "parentRef": {"name": "gate"}, "conditions": []});
    objects.gateway.routes.values_mut().next().unwrap().status = json!({"parents": [others, own]});
    let all = nobody(&objects);
    assert_eq!(all.len(), 3);
    for change in all {
        match change {
            Change::Class(_, status) => assert_eq!(status["conditions"][0]["status"], "Unknown"),
            Change::Gateway(_, status) => {
                assert_eq!((status["addresses"].clone(), status["listeners"].clone()), (json!([]), json!([])));
            }
            Change::Route(_, status) => assert_eq!(status["parents"], json!([others])),
        }
    }
    // The same holds for a route whose gateway is gone.
    objects.gateway.gateways.clear();
    let compiled = compile(&objects, &mut CertCache::default());
    let told = changes(&objects, &compiled.gateway, &[]);
    assert!(told.contains(&Change::Route(Id::new("default", "r0"), json!({"parents": [others]}))), "{told:?}");
}
