//! From gateways and routes to the routing table, and to what is told about them.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use http::{HeaderName, Method, StatusCode};
use regex_lite::Regex;

use super::{
    filters,
    grant::granted,
    listener::{Served, allows, hosts, listen},
    objects::{BackendRef, GROUP, Gateway, HttpRoute, MirrorFilter, NamedMatch, ParentRef, RouteMatch, RouteRule},
    status::{self, Condition, GatewayReport, ParentReport, has_ours},
};
use crate::ingress::{
    annotations,
    compile::{Backends, CertCache, Compiled, is_external},
    objects::{Id, Objects, PortRef},
    policy::Policy,
    table::{Action, Conditions, Mirror, PathRule, Pattern, Route, Share, Split, Upstream},
};

/// Compiles all gateways of our classes and the routes that belong to them.
pub(crate) fn compile(objects: &Objects, backends: &mut Backends<'_>, certs: &mut CertCache, out: &mut Compiled) {
    let ours: Vec<(&Id, &Gateway)> = objects.gateway.gateways.iter().filter(|(_, one)| is_ours(one, objects)).collect();
    let mut served = Vec::new();
    let mut reports = HashMap::new();
    for (id, gateway) in &ours {
        let (own, listeners) = listen(id, gateway, objects, certs, out);
        served.extend(own);
        reports.insert((*id).clone(), GatewayReport { listeners });
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
            // What was told about gateways that are no more is taken back.
            out.gateway.routes.extend(has_ours(&route.status).then(|| (id.clone(), Vec::new())));
            continue;
        }
        let rules = rules(id, route, objects, backends);
        let mut told = Vec::new();
        for (gateway, parent) in parents {
            let meant = Meant { route: id, hosts: &route.spec.hostnames, gateway: &gateway, parent };
            let accepted = match attach(&meant, &served, &rules, objects, &mut reports, out) {
                Ok(()) => Condition::yes("Accepted", "Accepted"),
                Err((reason, message)) => Condition::no("Accepted", reason, &message),
            };
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
    parent.kind.as_deref().unwrap_or("Gateway") == "Gateway" && parent.group.as_deref().unwrap_or(GROUP) == GROUP
}

fn is_ours(gateway: &Gateway, objects: &Objects) -> bool {
    let class = objects.gateway.classes.get(&Id::new("", &gateway.spec.gateway_class_name));
    class.is_some_and(status::is_ours)
}

/// Why something that is referred to cannot be used: in a word, and in a sentence.
type Unresolved = (&'static str, String);

/// The rules of a route, whatever listeners they end up with.
struct Rules {
    all: Vec<(PathRule, Arc<Route>)>,
    unresolved: Option<Unresolved>,
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
                    let split = split(id, rule, path, objects, backends, &mut rules.unresolved);
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

/// The backend that a route refers to.
fn backend(
    route: &Id,
    backend: &BackendRef,
    objects: &Objects,
    backends: &mut Backends<'_>,
) -> Result<Arc<Upstream>, Unresolved> {
    let id = Id::new(backend.namespace.as_deref().unwrap_or(&route.namespace), &backend.name);
    let is_service = backend.kind.as_deref().unwrap_or("Service") == "Service"
        && backend.group.as_deref().unwrap_or_default().is_empty();
    if !is_service {
        return Err(("InvalidKind", format!("backend {id} is no service")));
    }
    if !granted(objects, ("HTTPRoute", &route.namespace), ("", "Service", &id)) {
        return Err(("RefNotPermitted", format!("no ReferenceGrant lets this route use service {id}")));
    }
    if objects.services.get(&id).is_some_and(is_external) {
        // The specification advises against it: such a service would lead out of the namespace without a grant.
        return Err(("BackendNotFound", format!("service {id} is of type ExternalName, which routes may not use")));
    }
    let port = PortRef { name: None, number: backend.port };
    backends.find(&id, Some(&port), None).map_err(|fault| ("BackendNotFound", fault))
}

fn share(
    route: &Id,
    wish: &BackendRef,
    prefix: &str,
    objects: &Objects,
    backends: &mut Backends<'_>,
) -> Result<Share, Unresolved> {
    let upstream = Some(backend(route, wish, objects, backends)?);
    if wish.filters.iter().any(|filter| filter.request_mirror.is_some()) {
        return Err(("IncompatibleFilters", "a copy can be asked for by a rule, not by a backend".to_owned()));
    }
    let policy = filters::policy(&wish.filters, prefix).map_err(|fault| ("IncompatibleFilters", fault))?;
    let policy = (!wish.filters.is_empty()).then(|| Arc::new(policy));
    Ok(Share { weight: wish.weight.unwrap_or(1), upstream, policy })
}

fn mirror(
    route: &Id,
    wish: &MirrorFilter,
    objects: &Objects,
    backends: &mut Backends<'_>,
) -> Result<Mirror, Unresolved> {
    let upstream = backend(route, &wish.backend_ref, objects, backends)?;
    let (weight, total) = match (&wish.fraction, wish.percent) {
        (Some(fraction), _) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
        (None, percent) => (percent.unwrap_or(100), 100),
    };
    Ok(Mirror { upstream, weight, total })
}

/// Where the requests of a rule go. What cannot be found is noted, and its requests are answered with an error.
fn split(
    route: &Id,
    rule: &RouteRule,
    prefix: &str,
    objects: &Objects,
    backends: &mut Backends<'_>,
    unresolved: &mut Option<Unresolved>,
) -> Split {
    let mut shares = Vec::new();
    for wish in &rule.backend_refs {
        shares.push(share(route, wish, prefix, objects, backends).unwrap_or_else(|fault| {
            *unresolved = Some(fault);
            Share { weight: wish.weight.unwrap_or(1), upstream: None, policy: None }
        }));
    }
    let mut mirrors = Vec::new();
    for wish in rule.filters.iter().filter_map(|filter| filter.request_mirror.as_ref()) {
        match mirror(route, wish, objects, backends) {
            Ok(mirror) => mirrors.push(mirror),
            Err(fault) => *unresolved = Some(fault),
        }
    }
    Split { shares, mirrors, canary: None, missing: StatusCode::INTERNAL_SERVER_ERROR }
}

/// A route, and what it says it belongs to.
struct Meant<'a> {
    route: &'a Id,
    hosts: &'a [String],
    gateway: &'a Id,
    parent: &'a ParentRef,
}

impl Meant<'_> {
    fn means(&self, one: &Served<'_>) -> bool {
        let ParentRef { section_name, port, .. } = self.parent;
        one.gateway == self.gateway
            && section_name.as_ref().is_none_or(|name| *name == one.listener.name)
            && port.is_none_or(|port| port == one.listener.port)
    }
}

/// Adds the rules to the listeners that a parent reference means.
fn attach(
    meant: &Meant<'_>,
    served: &[Served<'_>],
    rules: &Rules,
    objects: &Objects,
    reports: &mut HashMap<Id, GatewayReport>,
    out: &mut Compiled,
) -> Result<(), (&'static str, String)> {
    if let Some(fault) = &rules.refused {
        return Err(("UnsupportedValue", fault.clone()));
    }
    let mut listeners: Vec<&Served<'_>> = served.iter().filter(|one| meant.means(one)).collect();
    if listeners.is_empty() {
        return Err(("NoMatchingParent", "the gateway has no such listener".to_owned()));
    }
    listeners.retain(|one| allows(one.listener, meant.gateway, &meant.route.namespace, objects));
    if listeners.is_empty() {
        let message = format!("no listener takes HTTPRoutes of namespace {}", meant.route.namespace);
        return Err(("NotAllowedByListeners", message));
    }
    let mut attached = false;
    for one in listeners {
        let hosts = hosts(one.listener.hostname.as_deref(), meant.hosts);
        if hosts.is_empty() {
            continue;
        }
        attached = true;
        let reports = reports.get_mut(meant.gateway).into_iter().flat_map(|report| &mut report.listeners);
        reports.filter(|report| report.name == one.listener.name).for_each(|report| report.attached += 1);
        for host in &hosts {
            for (path, route) in &rules.all {
                out.table.gateway[usize::from(one.secure)].add(host.clone(), path.clone(), Arc::clone(route));
            }
        }
    }
    match attached {
        true => Ok(()),
        false => Err(("NoMatchingListenerHostname", "no listener has a host of this route".to_owned())),
    }
}
