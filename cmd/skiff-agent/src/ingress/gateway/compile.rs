//! From gateways and routes to the routing table, and to what is told about them.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use http::{HeaderName, Method, StatusCode};
use regex_lite::Regex;

use super::{
    filters,
    objects::{BackendRef, Gateway, HttpRoute, Listener, NamedMatch, ParentRef, RouteMatch, RouteRule},
    status::{Condition, GatewayReport, ListenerReport, ParentReport},
};
use crate::ingress::{
    annotations,
    compile::{Backends, CONTROLLER, CertCache, Compiled},
    objects::{Id, Objects, PortRef},
    policy::Policy,
    table::{Action, Conditions, Depth, HostName, PathRule, Pattern, Route, Share, Split},
};

/// The ports of listeners that are served: plain HTTP and HTTPS.
const PORTS: [u16; 2] = [80, 443];

/// A listener that is served.
struct Served<'a> {
    gateway: &'a Id,
    listener: &'a Listener,
    secure: bool,
}

/// Compiles all gateways of our classes and the routes that belong to them.
pub(crate) fn compile(objects: &Objects, backends: &mut Backends<'_>, certs: &mut CertCache, out: &mut Compiled) {
    let ours: Vec<(&Id, &Gateway)> = objects.gateway.gateways.iter().filter(|(_, one)| is_ours(one, objects)).collect();
    let mut served = Vec::new();
    let mut reports = HashMap::new();
    for (id, gateway) in &ours {
        let report = gateway.spec.listeners.iter().map(|listener| {
            let (secure, report) = listen(id, listener, objects, certs, out);
            served.extend(secure.map(|secure| Served { gateway: id, listener, secure }));
            report
        });
        reports.insert((*id).clone(), GatewayReport { listeners: report.collect() });
    }
    let mut routes: Vec<(&Id, &HttpRoute)> = objects.gateway.routes.iter().collect();
    // Of two rules for the same requests the older stays in force.
    routes.sort_by_key(|(_, route)| route.metadata.creation_timestamp.clone());
    for (id, route) in routes {
        let parents = route.spec.parent_refs.iter().filter(|parent| is_gateway(parent));
        let parents =
            parents.map(|parent| (Id::new(parent.namespace.as_deref().unwrap_or(&id.namespace), &parent.name), parent));
        let parents: Vec<(Id, &ParentRef)> = parents.filter(|(gateway, _)| reports.contains_key(gateway)).collect();
        if parents.is_empty() {
            continue;
        }
        let rules = rules(id, route, objects, backends);
        let mut told = Vec::new();
        for (gateway, parent) in parents {
            let accepted = attach(id, route, (&gateway, parent), &served, &rules, &mut reports, out);
            let resolved = match &rules.unresolved {
                Some((reason, message)) => Condition::no("ResolvedRefs", reason, message),
                None => Condition::yes("ResolvedRefs", "ResolvedRefs"),
            };
            told.push(ParentReport { parent: parent.clone(), conditions: vec![accepted, resolved] });
        }
        out.gateway.routes.push((id.clone(), told));
    }
    out.gateway.gateways.extend(reports);
}

fn is_gateway(parent: &ParentRef) -> bool {
    parent.kind.as_deref().unwrap_or("Gateway") == "Gateway"
        && parent.group.as_deref().unwrap_or("gateway.networking.k8s.io") == "gateway.networking.k8s.io"
}

fn is_ours(gateway: &Gateway, objects: &Objects) -> bool {
    let class = objects.gateway.classes.get(&Id::new("", &gateway.spec.gateway_class_name));
    class.is_some_and(|class| class.spec.controller_name == CONTROLLER)
}

/// Whether a listener is served, and if so over TLS or not; and what is told about it.
fn listen(
    gateway: &Id,
    listener: &Listener,
    objects: &Objects,
    certs: &mut CertCache,
    out: &mut Compiled,
) -> (Option<bool>, ListenerReport) {
    let mut report = ListenerReport::new(&listener.name);
    let secure = match (listener.protocol.as_str(), listener.port) {
        ("HTTP", port) if port == PORTS[0] => false,
        ("HTTPS", port) if port == PORTS[1] => true,
        ("HTTP" | "HTTPS", _) => {
            let message = "HTTP is served at port 80 and HTTPS at port 443 only";
            report.conditions.push(Condition::no("Accepted", "PortUnavailable", message));
            return (None, report);
        }
        (other, _) => {
            let message = format!("{other} is not supported");
            report.conditions.push(Condition::no("Accepted", "UnsupportedProtocol", &message));
            return (None, report);
        }
    };
    report.conditions.push(Condition::yes("Accepted", "Accepted"));
    let mut fault = None;
    for reference in listener.tls.iter().filter(|_| secure).flat_map(|tls| &tls.certificate_refs) {
        let id = Id::new(reference.namespace.as_deref().unwrap_or(&gateway.namespace), &reference.name);
        let cert = match granted(objects, ("Gateway", &gateway.namespace), ("", "Secret", &id)) {
            true => certs.get(&id, objects.secrets.get(&id)).map_err(|fault| ("InvalidCertificateRef", fault)),
            false => Err(("RefNotPermitted", format!("no ReferenceGrant lets this gateway use secret {id}"))),
        };
        match cert {
            Ok(cert) => {
                out.table.certs.add(HostName::parse(listener.hostname.as_deref(), Depth::Many), &cert);
            }
            Err(cause) => fault = Some(cause),
        }
    }
    report.conditions.push(match &fault {
        Some((reason, message)) => Condition::no("ResolvedRefs", reason, message),
        None => Condition::yes("ResolvedRefs", "ResolvedRefs"),
    });
    report.conditions.push(match fault {
        Some((_, message)) => Condition::no("Programmed", "Invalid", &message),
        None => Condition::yes("Programmed", "Programmed"),
    });
    (Some(secure), report)
}

/// Whether an object may refer to one in another namespace.
fn granted(objects: &Objects, (kind, namespace): (&str, &str), (group, to, id): (&str, &str, &Id)) -> bool {
    namespace == id.namespace
        || objects.gateway.grants.iter().filter(|(grant, _)| grant.namespace == id.namespace).any(|(_, grant)| {
            grant.spec.from.iter().any(|from| from.kind == kind && from.namespace == namespace)
                && grant.spec.to.iter().any(|target| {
                    target.group == group
                        && target.kind == to
                        && target.name.as_ref().is_none_or(|name| *name == id.name)
                })
        })
}

/// The rules of a route, whatever listeners they end up with.
struct Rules {
    all: Vec<(PathRule, Arc<Route>)>,
    unresolved: Option<(&'static str, String)>,
    refused: Option<String>,
}

fn rules(id: &Id, route: &HttpRoute, objects: &Objects, backends: &mut Backends<'_>) -> Rules {
    let mut rules = Rules { all: Vec::new(), unresolved: None, refused: None };
    let name: Arc<str> = id.to_string().into();
    for rule in &route.spec.rules {
        let any = [RouteMatch::default()];
        let matches = if rule.matches.is_empty() { &any[..] } else { &rule.matches };
        for one in matches {
            let path = one.path.as_ref().and_then(|path| path.value.as_deref()).unwrap_or("/");
            let made = path_rule(one, path).and_then(|path_rule| {
                let conditions = conditions(one)?;
                let mut policy = filters::policy(&rule.filters, path)?;
                timeouts(rule, &mut policy)?;
                Ok((path_rule, conditions, policy))
            });
            match made {
                Ok((path_rule, conditions, policy)) => {
                    let shares: Vec<Share> = rule
                        .backend_refs
                        .iter()
                        .map(|backend| share(id, backend, path, objects, backends, &mut rules.unresolved))
                        .collect();
                    let split = Split { shares, canary: None, missing: StatusCode::INTERNAL_SERVER_ERROR };
                    let route = Route {
                        name: Arc::clone(&name),
                        conditions,
                        policy: Arc::new(policy),
                        action: Action::Forward(split),
                    };
                    rules.all.push((path_rule, Arc::new(route)));
                }
                Err(fault) => rules.refused = Some(fault),
            }
        }
    }
    // The Gateway API orders by the kind of path, then by its length; the rest is in the order of the rules.
    rules.all.sort_by_key(|(_, route)| Reverse(route.conditions.weight()));
    rules
}

fn path_rule(one: &RouteMatch, path: &str) -> Result<PathRule, String> {
    match one.path.as_ref().and_then(|path| path.r#type.as_deref()).unwrap_or("PathPrefix") {
        "PathPrefix" => Ok(PathRule::Prefix(path.to_owned())),
        "Exact" => Ok(PathRule::Exact(path.to_owned())),
        "RegularExpression" => {
            let regex =
                Regex::new(&format!("^(?:{path})$")).map_err(|fault| format!("{path} is no expression: {fault}"))?;
            Ok(PathRule::Regex { regex, source: path.to_owned() })
        }
        other => Err(format!("paths of type {other} are not supported")),
    }
}

fn conditions(one: &RouteMatch) -> Result<Conditions, String> {
    let pattern = |wish: &NamedMatch| match wish.r#type.as_deref().unwrap_or("Exact") {
        "Exact" => Ok(Pattern::Exact(wish.value.clone())),
        "RegularExpression" => {
            let regex = Regex::new(&format!("^(?:{})$", wish.value));
            regex.map(Pattern::Regex).map_err(|fault| format!("{} is no expression: {fault}", wish.value))
        }
        other => Err(format!("matches of type {other} are not supported")),
    };
    let header = |wish: &NamedMatch| {
        let name = wish.name.parse::<HeaderName>().map_err(|_| format!("{:?} is no name of a header", wish.name))?;
        Ok::<_, String>((name, pattern(wish)?))
    };
    let method =
        one.method.as_deref().map(|method| method.parse::<Method>().map_err(|_| format!("{method:?} is no method")));
    Ok(Conditions {
        method: method.transpose()?,
        headers: one.headers.iter().map(header).collect::<Result<_, _>>()?,
        query: one
            .query_params
            .iter()
            .map(|wish| Ok((wish.name.clone(), pattern(wish)?)))
            .collect::<Result<_, String>>()?,
    })
}

fn timeouts(rule: &RouteRule, policy: &mut Policy) -> Result<(), String> {
    let Some(wish) = &rule.timeouts else { return Ok(()) };
    if let Some(text) = wish.backend_request.as_deref().or(wish.request.as_deref()) {
        let time = annotations::seconds(text).map_err(|fault| format!("the timeout {text:?} {fault}"))?;
        (policy.timeouts.read, policy.timeouts.idle) = (time, time);
    }
    Ok(())
}

fn share(
    route: &Id,
    backend: &BackendRef,
    prefix: &str,
    objects: &Objects,
    backends: &mut Backends<'_>,
    unresolved: &mut Option<(&'static str, String)>,
) -> Share {
    let id = Id::new(backend.namespace.as_deref().unwrap_or(&route.namespace), &backend.name);
    let is_service = backend.kind.as_deref().unwrap_or("Service") == "Service"
        && backend.group.as_deref().unwrap_or_default().is_empty();
    let found = if !is_service {
        Err(("InvalidKind", format!("backend {id} is no service")))
    } else if !granted(objects, ("HTTPRoute", &route.namespace), ("", "Service", &id)) {
        Err(("RefNotPermitted", format!("no ReferenceGrant lets this route use service {id}")))
    } else {
        let port = PortRef { name: None, number: backend.port };
        backends.find(&id, Some(&port), None).map_err(|fault| ("BackendNotFound", fault))
    };
    let policy = filters::policy(&backend.filters, prefix).map_err(|fault| ("IncompatibleFilters", fault));
    let (upstream, policy) = match (found, policy) {
        (Ok(upstream), Ok(policy)) => (Some(upstream), (!backend.filters.is_empty()).then(|| Arc::new(policy))),
        (Err(fault), _) | (_, Err(fault)) => {
            *unresolved = Some(fault);
            (None, None)
        }
    };
    Share { weight: backend.weight.unwrap_or(1), upstream, policy }
}

/// Adds the rules to the listeners that a parent reference means.
fn attach(
    id: &Id,
    route: &HttpRoute,
    (gateway, parent): (&Id, &ParentRef),
    served: &[Served<'_>],
    rules: &Rules,
    reports: &mut HashMap<Id, GatewayReport>,
    out: &mut Compiled,
) -> Condition {
    if let Some(fault) = &rules.refused {
        return Condition::no("Accepted", "UnsupportedValue", fault);
    }
    let meant: Vec<&Served<'_>> = served
        .iter()
        .filter(|one| one.gateway == gateway)
        .filter(|one| parent.section_name.as_ref().is_none_or(|name| *name == one.listener.name))
        .filter(|one| parent.port.is_none_or(|port| port == one.listener.port))
        .collect();
    if meant.is_empty() {
        return Condition::no("Accepted", "NoMatchingParent", "the gateway has no such listener");
    }
    let allowed: Vec<&Served<'_>> = meant.into_iter().filter(|one| allows(one.listener, gateway, id)).collect();
    if allowed.is_empty() {
        let message = "the listeners take no routes of this namespace; selectors are not supported";
        return Condition::no("Accepted", "NotAllowedByListeners", message);
    }
    let mut attached = false;
    for one in allowed {
        let hosts = hosts(one.listener.hostname.as_deref(), &route.spec.hostnames);
        if hosts.is_empty() {
            continue;
        }
        attached = true;
        let report = reports
            .get_mut(gateway)
            .and_then(|report| report.listeners.iter_mut().find(|report| report.name == one.listener.name));
        if let Some(report) = report {
            report.attached += 1;
        }
        for host in &hosts {
            for (path, route) in &rules.all {
                out.table.gateway[usize::from(one.secure)].add(host.clone(), path.clone(), Arc::clone(route));
            }
        }
    }
    match attached {
        true => Condition::yes("Accepted", "Accepted"),
        false => Condition::no("Accepted", "NoMatchingListenerHostname", "no listener has a host of this route"),
    }
}

fn allows(listener: &Listener, gateway: &Id, route: &Id) -> bool {
    let namespaces = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match namespaces.and_then(|namespaces| namespaces.from.as_deref()).unwrap_or("Same") {
        "All" => true,
        "Same" => gateway.namespace == route.namespace,
        _ => false,
    }
}

/// The hosts that a listener and a route have in common.
fn hosts(listener: Option<&str>, route: &[String]) -> Vec<HostName> {
    let listener = HostName::parse(listener, Depth::Many);
    if route.is_empty() {
        return vec![listener];
    }
    let common = route.iter().filter_map(|host| {
        let host = HostName::parse(Some(host), Depth::Many);
        if covers(&listener, &host) { Some(host) } else { covers(&host, &listener).then(|| listener.clone()) }
    });
    common.collect()
}

/// Whether all hosts that the second means are meant by the first.
fn covers(first: &HostName, second: &HostName) -> bool {
    match (first, second) {
        (HostName::Any, _) => true,
        (HostName::Exact(one), HostName::Exact(other)) => one == other,
        (HostName::Below(domain, _), HostName::Exact(host)) => {
            host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        (HostName::Below(domain, _), HostName::Below(other, _)) => {
            other == domain || other.ends_with(&format!(".{domain}"))
        }
        _ => false,
    }
}
