//! The rules of ingresses.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use http::StatusCode;
use regex_lite::Regex;

use super::{Backends, CertCache, Compiled, class};
use crate::ingress::{
    annotations::{self, Wishes},
    auth::{self, BasicAuth},
    objects::{Id, Ingress, IngressBackend, IngressPath, Objects},
    policy::{Policy, Rewrite},
    problem::{Problem, Subject},
    table::{Action, Canary, Conditions, Depth, HostName, PathRule, Route, Share, Split, Upstream},
};

/// Backends on trial, by host and path of the rule that they belong to.
type Canaries = HashMap<(HostName, String), Canary>;

/// Compiles all ingresses that are ours.
pub(super) fn compile(objects: &Objects, backends: &mut Backends<'_>, certs: &mut CertCache, out: &mut Compiled) {
    let mut ours: Vec<&Ingress> = objects.ingresses.values().filter(|one| class::is_ours(one, objects)).collect();
    // Of two rules for the same requests the older stays in force.
    ours.sort_by_key(|ingress| ingress.metadata.creation_timestamp.clone());
    let mut all: Vec<One<'_>> = ours.into_iter().map(|ingress| One::new(ingress, objects)).collect();
    let mut canaries = Canaries::new();
    for one in all.iter_mut().filter(|one| one.wishes.canary.is_some()) {
        one.canaries(backends, &mut canaries);
    }
    let mut taken = HashSet::new();
    for one in &mut all {
        if one.wishes.canary.is_none() {
            one.certificates(objects, certs, out);
            one.rules(backends, &canaries, &mut taken, out);
        }
        let told = one.ingress.status.load_balancer.ingress.clone().unwrap_or_default();
        out.served.push((Id::of(one.ingress), told));
        let (subject, problems) = (Subject::of(one.ingress), std::mem::take(&mut one.problems));
        let annotations =
            std::mem::take(&mut one.wishes.problems).into_iter().map(|message| ("BadAnnotation", message));
        out.problems.extend(annotations.chain(problems).map(|(reason, message)| Problem {
            subject: subject.clone(),
            reason,
            message,
        }));
    }
}

/// An ingress at work.
struct One<'a> {
    ingress: &'a Ingress,
    name: Arc<str>,
    wishes: Wishes,
    problems: Vec<(&'static str, String)>,
    /// Policies with and without HTTPS only, shared by all paths that need nothing of their own.
    shared: [Option<Arc<Policy>>; 2],
}

impl<'a> One<'a> {
    fn new(ingress: &'a Ingress, objects: &Objects) -> Self {
        let mut wishes = annotations::read(ingress.metadata.annotations.as_ref().unwrap_or(&BTreeMap::new()));
        let mut problems = Vec::new();
        if let Some((secret, realm)) = wishes.auth.take() {
            match passwords(ingress, &secret, &realm, objects) {
                Ok(auth) => wishes.policy.auth = Some(Arc::new(auth)),
                Err(message) => {
                    wishes.refuse = true;
                    problems.push(("BrokenAuth", message));
                }
            }
        }
        Self { ingress, name: Id::of(ingress).to_string().into(), wishes, problems, shared: [None, None] }
    }

    fn namespace(&self) -> &str {
        self.ingress.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn hosts(&self, host: Option<&str>) -> Vec<HostName> {
        let own = HostName::parse(host, Depth::One);
        let aliases = self.wishes.aliases.iter().filter(|_| own != HostName::Any);
        let aliases = aliases.map(|alias| HostName::parse(Some(alias), Depth::One)).collect::<Vec<_>>();
        [own].into_iter().chain(aliases).collect()
    }

    fn upstream(&mut self, backends: &mut Backends<'_>, backend: &IngressBackend) -> Option<Arc<Upstream>> {
        let Some(service) = &backend.service else {
            self.problems
                .push(("BadBackend", "a backend names no service; other resources are not supported".to_owned()));
            return None;
        };
        let id = Id::new(self.namespace(), &service.name);
        match backends.find(&id, service.port.as_ref(), self.wishes.protocol) {
            Ok(upstream) => Some(upstream),
            Err(fault) => {
                let problem = ("BadBackend", fault);
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                None
            }
        }
    }

    /// Notes the backends of an ingress that belongs to another one.
    fn canaries(&mut self, backends: &mut Backends<'_>, canaries: &mut Canaries) {
        for host in self.ingress.spec.rules.iter().flatten() {
            for path in host.http.iter().flat_map(|http| &http.paths) {
                let upstream = self.upstream(backends, &path.backend);
                let Some(rule) = self.wishes.canary.clone() else { return };
                let name = HostName::parse(host.host.as_deref(), Depth::One);
                canaries.insert((name, text(path).to_owned()), Canary { upstream, rule });
            }
        }
    }

    fn certificates(&mut self, objects: &Objects, certs: &mut CertCache, out: &mut Compiled) {
        let of_rules: Vec<&str> =
            self.ingress.spec.rules.iter().flatten().filter_map(|rule| rule.host.as_deref()).collect();
        for tls in self.ingress.spec.tls.iter().flatten() {
            let Some(secret) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) else { continue };
            let id = Id::new(self.namespace(), secret);
            match certs.get(&id, objects.secrets.get(&id)) {
                Ok(cert) => {
                    let own: Vec<&str> = tls.hosts.iter().flatten().map(String::as_str).collect();
                    let hosts = if own.is_empty() { &of_rules } else { &own };
                    for host in hosts {
                        out.table.certs.add(HostName::parse(Some(host), Depth::One), &cert);
                    }
                    if hosts.is_empty() {
                        out.table.certs.add(HostName::Any, &cert);
                    }
                }
                Err(fault) => {
                    self.problems.push(("BrokenCertificate", format!("{fault}; the default certificate is served")));
                }
            }
        }
    }

    /// Whether a host is among those with TLS.
    fn has_tls(&self, host: &HostName) -> bool {
        self.ingress.spec.tls.iter().flatten().any(|tls| {
            let hosts: Vec<HostName> =
                tls.hosts.iter().flatten().map(|host| HostName::parse(Some(host), Depth::One)).collect();
            hosts.is_empty() || hosts.contains(host) || matches!(host, HostName::Exact(name) if hosts.iter().any(|one| {
                matches!(one, HostName::Below(domain, _) if name.split_once('.').is_some_and(|(_, rest)| rest == domain))
            }))
        })
    }

    fn rules(
        &mut self,
        backends: &mut Backends<'_>,
        canaries: &Canaries,
        taken: &mut HashSet<(HostName, String, bool)>,
        out: &mut Compiled,
    ) {
        let default = self.ingress.spec.default_backend.as_ref().map(|backend| self.upstream(backends, backend));
        let ingress = self.ingress;
        for rule in ingress.spec.rules.iter().flatten() {
            for host in self.hosts(rule.host.as_deref()) {
                let mut root = false;
                for path in rule.http.iter().flat_map(|http| &http.paths) {
                    let exact = path.path_type.as_deref() == Some("Exact");
                    root |= text(path) == "/" && !exact;
                    if !taken.insert((host.clone(), text(path).to_owned(), exact)) {
                        let message =
                            format!("path {} of host {} is served already", text(path), label(rule.host.as_deref()));
                        self.problems.push(("PathTaken", message));
                        continue;
                    }
                    let canary = canaries.get(&(host.clone(), text(path).to_owned())).cloned();
                    let upstream = self.upstream(backends, &path.backend);
                    if let Some((rule, policy)) = self.path(path, &host) {
                        out.table.ingress.add(host.clone(), rule, self.route(upstream, canary, policy));
                    }
                }
                if let Some(upstream) = default.clone().filter(|_| !root) {
                    let policy = self.policy(&host, None);
                    let route = self.route(upstream, None, policy);
                    out.table.ingress.add(host, PathRule::Prefix("/".to_owned()), route);
                }
            }
        }
        if let Some(upstream) = default.filter(|_| out.table.default.is_none()) {
            let policy = self.policy(&HostName::Any, None);
            out.table.default = Some(self.route(upstream, None, policy));
        }
    }

    /// How a path is compared, and what happens to its requests; nothing if it makes no sense.
    fn path(&mut self, path: &IngressPath, host: &HostName) -> Option<(PathRule, Arc<Policy>)> {
        let source = text(path);
        let exact = path.path_type.as_deref() == Some("Exact");
        let is_regex =
            self.wishes.use_regex && !exact && source.contains(['(', '[', '*', '+', '?', '|', '^', '$', '\\']);
        let regex = match is_regex.then(|| Regex::new(&format!("(?i)^(?:{})", source.trim_start_matches('^')))) {
            Some(Err(fault)) => {
                self.problems.push(("BadPath", format!("path {source} is no expression: {fault}")));
                return None;
            }
            Some(Ok(regex)) => Some(regex),
            None => None,
        };
        let rewrite =
            self.wishes.rewrite_target.clone().map(|template| Rewrite::Pattern { regex: regex.clone(), template });
        let policy = self.policy(host, rewrite);
        let rule = match regex {
            Some(regex) => PathRule::Regex { regex, source: source.trim_start_matches('^').to_owned() },
            None if exact => PathRule::Exact(source.to_owned()),
            None => PathRule::Prefix(source.to_owned()),
        };
        Some((rule, policy))
    }

    fn policy(&mut self, host: &HostName, rewrite: Option<Rewrite>) -> Arc<Policy> {
        let wished = &self.wishes.policy;
        let https_only = wished.https_only || (self.wishes.ssl_redirect && self.has_tls(host));
        if rewrite.is_some() {
            return Arc::new(Policy { https_only, rewrite, ..wished.clone() });
        }
        let shared = &mut self.shared[usize::from(https_only)];
        Arc::clone(shared.get_or_insert_with(|| Arc::new(Policy { https_only, ..wished.clone() })))
    }

    fn route(&self, upstream: Option<Arc<Upstream>>, canary: Option<Canary>, policy: Arc<Policy>) -> Arc<Route> {
        let action = if self.wishes.refuse {
            Action::Refuse(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            let shares = vec![Share { weight: 1, upstream, policy: None }];
            Action::Forward(Split {
                shares,
                canary: canary.map(Box::new),
                mirrors: Vec::new(),
                missing: StatusCode::SERVICE_UNAVAILABLE,
            })
        };
        Arc::new(Route { name: Arc::clone(&self.name), conditions: Conditions::default(), policy, action })
    }
}

/// The path of a rule; an empty one means all.
fn text(path: &IngressPath) -> &str {
    path.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/")
}

fn label(host: Option<&str>) -> &str {
    host.filter(|host| !host.is_empty()).unwrap_or("*")
}

fn passwords(ingress: &Ingress, secret: &str, realm: &str, objects: &Objects) -> Result<BasicAuth, String> {
    let own = ingress.metadata.namespace.as_deref().unwrap_or_default();
    let id = match secret.split_once('/') {
        // Who may write ingresses in one namespace need not be allowed to use the secrets of another.
        Some((namespace, _)) if namespace != own => {
            return Err(format!("secret {secret} is in another namespace; the routes are not served"));
        }
        Some((namespace, name)) => Id::new(namespace, name),
        None => Id::new(own, secret),
    };
    let file = objects.secrets.get(&id).and_then(|secret| secret.get("auth"));
    let file = file.ok_or_else(|| format!("there is no secret {id} with a key `auth`; the routes are not served"))?;
    let file = String::from_utf8_lossy(file);
    let hashes = file.lines().filter_map(|line| line.trim().split(':').nth(1));
    let unknown = hashes.filter(|hash| !auth::is_known_hash(hash)).count();
    if unknown > 0 {
        return Err(format!(
            "secret {id} has {unknown} passwords that are hashed in another way than apr1, bcrypt or SHA; the routes are \
             not served"
        ));
    }
    Ok(BasicAuth::new(&file, realm))
}
