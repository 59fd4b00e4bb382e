//! The listeners of gateways: which are served, which routes they take, and for which hosts.

use std::collections::HashSet;

use super::{
    grant::granted,
    objects::{Gateway, Listener},
    status::{Condition, ListenerReport},
};
use crate::ingress::{
    compile::{CertCache, Compiled},
    objects::{Id, Objects},
    selector,
    table::{Depth, HostName},
};

/// The kinds of routes that are served.
const KINDS: [(&str, &str); 1] = [("gateway.networking.k8s.io", "HTTPRoute")];

/// A listener that is served.
pub(super) struct Served<'a> {
    /// Its gateway.
    pub(super) gateway: &'a Id,
    /// What was asked for.
    pub(super) listener: &'a Listener,
    /// Whether it speaks TLS.
    pub(super) secure: bool,
}

/// Looks at the listeners of a gateway: those that are served, and what is told about all.
pub(super) fn listen<'a>(
    id: &'a Id,
    gateway: &'a Gateway,
    objects: &Objects,
    certs: &mut CertCache,
    out: &mut Compiled,
) -> (Vec<Served<'a>>, Vec<ListenerReport>) {
    let mut taken = HashSet::new();
    let (mut served, mut reports) = (Vec::new(), Vec::new());
    for listener in &gateway.spec.listeners {
        let mut report = ListenerReport::new(&listener.name);
        let protocol = protocol(listener).and_then(|secure| {
            let host = HostName::parse(listener.hostname.as_deref(), Depth::Many);
            match taken.insert((secure, host)) {
                true => Ok(secure),
                false => Err(("HostnameConflict", "another listener has this port and this host".to_owned())),
            }
        });
        match protocol {
            Ok(secure) => {
                report.conditions.push(Condition::yes("Accepted", "Accepted"));
                let fault = kinds(listener).and(certificates(id, listener, secure, objects, certs, out)).err();
                report.conditions.extend(readiness(fault));
                served.push(Served { gateway: id, listener, secure });
            }
            Err((reason, message)) => {
                report.conditions.push(Condition::no("Accepted", reason, &message));
                report.conditions.push(Condition::no("Programmed", "Invalid", &message));
                report.conditions.push(Condition::yes("ResolvedRefs", "ResolvedRefs"));
                if reason == "HostnameConflict" {
                    report.conditions.push(Condition::yes("Conflicted", reason));
                }
            }
        }
        reports.push(report);
    }
    (served, reports)
}

type Fault = (&'static str, String);

/// Whether a listener speaks TLS, if it can be served.
fn protocol(listener: &Listener) -> Result<bool, Fault> {
    let mode = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref()).unwrap_or("Terminate");
    match (listener.protocol.as_str(), listener.port) {
        ("HTTP", 80) => Ok(false),
        ("HTTPS", 443) if mode == "Terminate" => Ok(true),
        ("HTTPS", 443) => Err(("UnsupportedProtocol", format!("TLS of mode {mode} is not supported"))),
        ("HTTP" | "HTTPS", _) => {
            Err(("PortUnavailable", "HTTP is served at port 80 and HTTPS at port 443 only".to_owned()))
        }
        (other, _) => Err(("UnsupportedProtocol", format!("{other} is not supported"))),
    }
}

/// Whether the kinds of routes that a listener asks for are served.
fn kinds(listener: &Listener) -> Result<(), Fault> {
    let mut wanted = listener.allowed_routes.iter().flat_map(|allowed| &allowed.kinds);
    match wanted.find(|kind| !KINDS.contains(&(kind.group(), &kind.kind))) {
        Some(kind) => Err(("InvalidRouteKinds", format!("routes of kind {} are not supported", kind.kind))),
        None => Ok(()),
    }
}

/// Puts the certificates of a listener in force.
fn certificates(
    gateway: &Id,
    listener: &Listener,
    secure: bool,
    objects: &Objects,
    certs: &mut CertCache,
    out: &mut Compiled,
) -> Result<(), Fault> {
    let mut result = Ok(());
    for reference in listener.tls.iter().filter(|_| secure).flat_map(|tls| &tls.certificate_refs) {
        let id = Id::new(reference.namespace.as_deref().unwrap_or(&gateway.namespace), &reference.name);
        let is_secret = reference.kind.as_deref().unwrap_or("Secret") == "Secret"
            && reference.group.as_deref().unwrap_or_default().is_empty();
        let cert = if !is_secret {
            Err(("InvalidCertificateRef", format!("{id} is no secret")))
        } else if granted(objects, ("Gateway", &gateway.namespace), ("", "Secret", &id)) {
            certs.get(&id, objects.secrets.get(&id)).map_err(|fault| ("InvalidCertificateRef", fault))
        } else {
            Err(("RefNotPermitted", format!("no ReferenceGrant lets this gateway use secret {id}")))
        };
        match cert {
            Ok(cert) => out.table.certs.add(HostName::parse(listener.hostname.as_deref(), Depth::Many), &cert),
            Err(fault) => result = Err(fault),
        }
    }
    result
}

fn readiness(fault: Option<Fault>) -> [Condition; 2] {
    match fault {
        Some((reason, message)) => {
            [Condition::no("ResolvedRefs", reason, &message), Condition::no("Programmed", "Invalid", &message)]
        }
        None => [Condition::yes("ResolvedRefs", "ResolvedRefs"), Condition::yes("Programmed", "Programmed")],
    }
}

/// Whether a listener takes the HTTPRoutes of a namespace.
pub(super) fn allows(listener: &Listener, gateway: &Id, namespace: &str, objects: &Objects) -> bool {
    let Some(allowed) = &listener.allowed_routes else { return gateway.namespace == namespace };
    if !allowed.kinds.is_empty() && !allowed.kinds.iter().any(|kind| KINDS.contains(&(kind.group(), &kind.kind))) {
        return false;
    }
    let from = allowed.namespaces.clone().unwrap_or_default();
    match from.from.as_deref().unwrap_or("Same") {
        "All" => true,
        "Same" => gateway.namespace == namespace,
        "Selector" => {
            let labels = objects.gateway.namespaces.get(&Id::new("", namespace)).map(|one| &one.metadata.labels);
            from.selector.zip(labels).is_some_and(|(selector, labels)| selector::matches(&selector, labels.as_ref()))
        }
        _ => false,
    }
}

/// The hosts that a listener and a route have in common.
pub(super) fn hosts(listener: Option<&str>, route: &[String]) -> Vec<HostName> {
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
