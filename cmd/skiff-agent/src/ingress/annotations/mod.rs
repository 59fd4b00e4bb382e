//! What annotations of an Ingress ask for. Names and values are those that manifests for nginx use; each may also be
//! written with the prefix `ingress.skiff.dev/`, which then wins.

mod cors;
mod session;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use values::seconds;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::{HeaderName, HeaderValue, StatusCode};
use ipnet::IpNet;
use regex_lite::Regex;

use super::{
    policy::{Policy, Redirect},
    table::{CanaryRule, Protocol},
};

/// Whose annotations are read, the stronger first.
const PREFIXES: [&str; 2] = ["ingress.skiff.dev/", "nginx.ingress.kubernetes.io/"];

/// What skiff does anyhow, or what has no meaning here; said nothing about.
const WITHOUT_EFFECT: [&str; 9] = [
    "proxy-buffering",
    "proxy-request-buffering",
    "proxy-buffer-size",
    "proxy-buffers-number",
    "proxy-http-version",
    "client-body-buffer-size",
    "load-balance",
    "service-upstream",
    "affinity-mode",
];

/// What keeps others out. To serve a route without it would be worse than not to serve it.
const GUARDS: [&str; 6] =
    ["auth-url", "auth-tls-secret", "auth-tls-verify-client", "configuration-snippet", "server-snippet", "satisfy"];

/// What the annotations of one Ingress ask for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// What needs nothing else to be known.
    pub(crate) policy: Policy,
    /// The template for new paths.
    pub(crate) rewrite_target: Option<String>,
    /// Whether paths are expressions.
    pub(crate) use_regex: bool,
    /// Whether hosts with TLS are served over TLS only.
    pub(crate) ssl_redirect: bool,
    /// What the backend speaks, if it is said.
    pub(crate) protocol: Option<Protocol>,
    /// The secret with passwords, and the realm.
    pub(crate) auth: Option<(String, String)>,
    /// More hosts.
    pub(crate) aliases: Vec<String>,
    /// That this is a backend on trial for another Ingress.
    pub(crate) canary: Option<CanaryRule>,
    /// Why the routes are not served at all.
    pub(crate) refuse: bool,
    /// What is wrong, in words.
    pub(crate) problems: Vec<String>,
}

/// The annotations of one object, each taken once.
struct Reader<'a> {
    values: BTreeMap<&'a str, &'a str>,
    taken: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(annotations: &'a BTreeMap<String, String>) -> Self {
        let with = |prefix: &'static str| {
            annotations.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.trim())))
        };
        // The weaker prefix first, so that the stronger one overwrites it.
        let values = PREFIXES.into_iter().rev().flat_map(with).collect();
        Self { values, taken: BTreeSet::new(), problems: Vec::new() }
    }

    /// The text of an annotation; empty is as good as absent.
    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.taken.insert(name);
        self.values.get(name).copied().filter(|value| !value.is_empty())
    }

    /// The value of an annotation. One that cannot be read is noted and left out.
    fn value<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.problems.push(format!("annotation {name}: {text:?} {fault}"));
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.value(name, values::flag)
    }

    fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        self.value(name, values::seconds)
    }
}

/// Reads the annotations of an Ingress.
pub(crate) fn read(annotations: &BTreeMap<String, String>) -> Wishes {
    let mut wishes = Wishes { ssl_redirect: true, ..Wishes::default() };
    let mut reader = Reader::new(annotations);
    if reader.values.is_empty() {
        return wishes;
    }
    paths(&mut reader, &mut wishes);
    redirects(&mut reader, &mut wishes);
    limits(&mut reader, &mut wishes.policy);
    guards(&mut reader, &mut wishes);
    wishes.policy.cors = cors::read(&mut reader);
    wishes.policy.affinity = session::read(&mut reader);
    wishes.canary = canary(&mut reader);
    wishes.protocol = reader.value("backend-protocol", values::protocol);
    wishes.policy.upstream_host = reader.value("upstream-vhost", values::header);
    unknown(&reader, &mut wishes);
    wishes.problems.append(&mut reader.problems);
    wishes
}

fn paths(reader: &mut Reader<'_>, wishes: &mut Wishes) {
    wishes.rewrite_target = reader.text("rewrite-target").map(str::to_owned);
    wishes.use_regex = reader.flag("use-regex").unwrap_or(wishes.rewrite_target.is_some());
    let aliases = reader.text("server-alias").unwrap_or_default();
    wishes.aliases = values::list(aliases).map(str::to_owned).collect();
}

fn redirects(reader: &mut Reader<'_>, wishes: &mut Wishes) {
    wishes.ssl_redirect = reader.flag("ssl-redirect").unwrap_or(true);
    wishes.policy.https_only = reader.flag("force-ssl-redirect").unwrap_or(false);
    wishes.policy.app_root = reader.value("app-root", |text| match text.starts_with('/') {
        true => values::header(text),
        false => Err("does not begin with a slash".to_owned()),
    });
    let status = |text: &str| {
        let code = text.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
        code.filter(StatusCode::is_redirection).ok_or_else(|| "is no status of a redirection".to_owned())
    };
    let permanent = reader.value("permanent-redirect-code", status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
    let temporal = reader.value("temporal-redirect-code", status).unwrap_or(StatusCode::FOUND);
    let target = |text: &str| values::header(text).map(|_| text.to_owned());
    let permanent = reader.value("permanent-redirect", target).map(|to| Redirect::To(permanent, to));
    let temporal = reader.value("temporal-redirect", target).map(|to| Redirect::To(temporal, to));
    wishes.policy.redirect = temporal.or(permanent);
}

fn limits(reader: &mut Reader<'_>, policy: &mut Policy) {
    policy.body_limit = reader.value("proxy-body-size", values::size).filter(|size| *size > 0);
    let timeouts = &mut policy.timeouts;
    timeouts.connect = reader.seconds("proxy-connect-timeout").unwrap_or(timeouts.connect);
    let read = reader.seconds("proxy-read-timeout");
    let send = reader.seconds("proxy-send-timeout");
    timeouts.read = read.unwrap_or(timeouts.read);
    // Whoever sets either of them means tunnels as well.
    timeouts.idle = read.max(send).unwrap_or(timeouts.idle);
}

/// Who may come in. What cannot be understood here closes the route.
fn guards(reader: &mut Reader<'_>, wishes: &mut Wishes) {
    let networks = |text: &str| values::list(text).map(values::network).collect::<Result<Vec<IpNet>, _>>();
    let before = reader.problems.len();
    let allow = [reader.value("whitelist-source-range", networks), reader.value("allowlist-source-range", networks)];
    wishes.policy.allow = allow.into_iter().flatten().flatten().collect();
    wishes.policy.deny = reader.value("denylist-source-range", networks).unwrap_or_default();
    let realm = reader.text("auth-realm").unwrap_or("Authentication Required").to_owned();
    let secret = reader.text("auth-secret").map(str::to_owned);
    let kind = reader.value("auth-secret-type", |kind| match kind {
        "auth-file" => Ok(()),
        _ => Err("is not supported, only auth-file".to_owned()),
    });
    let _ = kind;
    let asks = reader.value("auth-type", |kind| match kind {
        "basic" => Ok(()),
        _ => Err("is not supported, only basic".to_owned()),
    });
    match (asks, secret) {
        (Some(()), Some(secret)) => wishes.auth = Some((secret, realm)),
        (Some(()), None) => reader.problems.push("annotation auth-type: auth-secret is missing".to_owned()),
        (None, _) => {}
    }
    wishes.refuse = reader.problems.len() > before;
    for guard in GUARDS {
        if reader.text(guard).is_some() {
            reader.problems.push(format!(
                "annotation {guard} is not supported; as it may keep others out, the routes are not served"
            ));
            wishes.refuse = true;
        }
    }
}

fn canary(reader: &mut Reader<'_>) -> Option<CanaryRule> {
    let is_canary = reader.flag("canary").unwrap_or(false);
    let number = |text: &str| text.parse::<u32>().map_err(|_| "is no number".to_owned());
    let total = reader.value("canary-weight-total", number).unwrap_or(100).max(1);
    let rule = CanaryRule {
        weight: reader.value("canary-weight", number).unwrap_or(0).min(total),
        total,
        header: reader.value("canary-by-header", |text| {
            HeaderName::try_from(text).map_err(|_| "is no name of a header".to_owned())
        }),
        value: reader.text("canary-by-header-value").map(str::to_owned),
        pattern: reader.value("canary-by-header-pattern", |text| {
            Regex::new(text).map_err(|fault| format!("is no expression: {fault}"))
        }),
        cookie: reader.text("canary-by-cookie").map(str::to_owned),
    };
    is_canary.then_some(rule)
}

fn unknown(reader: &Reader<'_>, wishes: &mut Wishes) {
    let known = |name: &str| reader.taken.contains(name) || WITHOUT_EFFECT.contains(&name);
    let names: Vec<&str> = reader.values.keys().copied().filter(|name| !known(name)).collect();
    if !names.is_empty() {
        wishes.problems.push(format!("these annotations are not supported and have no effect: {}", names.join(", ")));
    }
}

/// A value of a header, if the text can be one.
fn header_or(text: &str, default: &'static str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(default))
}
