//! One request, from its head to the head of its answer.

use std::{
    borrow::Cow,
    fmt::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request::Parts, uri};
use hyper::body::{Body as _, Incoming};

use super::{
    Worker, answers,
    body::{ReplyBody, RequestBody},
    choose,
    forward::{self, Answer, Failure},
    headers::{self, Peer},
    tunnel,
};
use crate::ingress::{
    access_log::{Record, quote},
    policy::{Cors, Policy, Redirect},
    table::{Action, Asked, Protocol, Route, Split, Upstream, normal_path},
};

/// How long a request that found nobody at home waits for newer routes.
const NEWS_TIME: Duration = Duration::from_secs(2);

/// What is known about a request when its answer is logged.
#[derive(Default)]
struct Trail {
    route: Option<Arc<Route>>,
    upstream: Option<Arc<Upstream>>,
    address: Option<SocketAddr>,
}

/// Answers a request.
pub(super) async fn serve(worker: Arc<Worker>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<ReplyBody> {
    let started = Instant::now();
    let line = worker.shared.log.is_on().then(|| log_line(&peer, &request));
    let mut trail = Trail::default();
    let mut response = answer(&worker, &peer, request, &mut trail).await;
    let metrics = &worker.shared.metrics;
    metrics.answered(response.status());
    metrics.duration.observe(started.elapsed());
    if let Some((mut head, agent)) = line {
        // Writing to a string cannot fail.
        let _ = write!(head, " {}", response.status().as_u16());
        let record = Record::new(&worker.shared.log, started, head, log_tail(&trail, &agent));
        response.body_mut().record(record);
    }
    response
}

fn log_line(peer: &Peer, request: &Request<Incoming>) -> (String, HeaderValue) {
    let mut line = String::with_capacity(256);
    let now = jiff::Timestamp::now();
    let host = request.uri().host().map(str::as_bytes);
    let host = host.or_else(|| request.headers().get(header::HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(line, "{} {now:.3} ", peer.ip);
    quote(&mut line, host);
    line.push(' ');
    let path = request.uri().path_and_query().map_or("", uri::PathAndQuery::as_str);
    quote(&mut line, format!("{} {path} {:?}", request.method(), request.version()).as_bytes());
    let agent = request.headers().get(header::USER_AGENT).cloned();
    (line, agent.unwrap_or(HeaderValue::from_static("-")))
}

fn log_tail(trail: &Trail, agent: &HeaderValue) -> String {
    let mut tail = String::with_capacity(96);
    tail.push_str(trail.route.as_ref().map_or("-", |route| &route.name));
    tail.push(' ');
    tail.push_str(trail.upstream.as_ref().map_or("-", |upstream| &upstream.name));
    tail.push(' ');
    match trail.address {
        // Writing to a string cannot fail.
        Some(address) => drop(write!(tail, "{address}")),
        None => tail.push('-'),
    }
    tail.push(' ');
    quote(&mut tail, agent.as_bytes());
    tail
}

async fn answer(
    worker: &Arc<Worker>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    trail: &mut Trail,
) -> Response<ReplyBody> {
    let (head, body) = request.into_parts();
    let Some(authority) = authority(&head) else {
        return answers::plain(StatusCode::BAD_REQUEST, "the request names no host");
    };
    if head.method == Method::CONNECT {
        return answers::plain(StatusCode::METHOD_NOT_ALLOWED, "this is no forward proxy");
    }
    let call = Call { worker, peer: Arc::clone(peer), host: plain_host(&authority), authority };
    let Some(route) = call.find(&head) else {
        let text = format!("no route for host {} and path {}", call.host, head.uri.path());
        return answers::plain(StatusCode::NOT_FOUND, &text);
    };
    trail.route = Some(Arc::clone(&route));
    let policy = &route.policy;
    if let Some(early) = call.early(policy, &head).await {
        return early;
    }
    match &route.action {
        Action::Refuse(status) => answers::plain(*status, &format!("{} is not served, see its events", route.name)),
        Action::Forward(split) => {
            let origin = head.headers.get(header::ORIGIN).filter(|_| policy.cors.is_some()).cloned();
            let mut response = call.forward(head, body, policy, split, trail).await;
            if let Some(cors) = &policy.cors {
                allow_origin(cors, origin.as_ref(), &mut response);
            }
            response
        }
    }
}

/// A request that is being answered.
struct Call<'a> {
    worker: &'a Arc<Worker>,
    peer: Arc<Peer>,
    /// The host in the form that routes have.
    host: String,
    /// The host as it was sent, with its port.
    authority: HeaderValue,
}

impl Call<'_> {
    fn find(&self, head: &Parts) -> Option<Arc<Route>> {
        let path = normal_path(head.uri.path());
        let asked = Asked { secure: self.peer.secure, host: &self.host, path: &path, head };
        self.worker.shared.table.load().find(&asked).cloned()
    }

    /// The answer, if it needs no backend.
    async fn early(&self, policy: &Policy, head: &Parts) -> Option<Response<ReplyBody>> {
        let settings = &self.worker.shared.settings;
        let path = || head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        if policy.https_only && !self.peer.came_secure(&head.headers) {
            let host = without_port(self.authority.to_str().unwrap_or_default());
            let port = match settings.https_port {
                443 => String::new(),
                port => format!(":{port}"),
            };
            return Some(answers::elsewhere(
                StatusCode::PERMANENT_REDIRECT,
                &format!("https://{host}{port}{}", path()),
            ));
        }
        if let Some(redirect) = &policy.redirect {
            return Some(self.redirect(redirect, head));
        }
        if let Some(root) = policy.app_root.as_ref().filter(|_| head.uri.path() == "/") {
            return Some(answers::elsewhere(StatusCode::FOUND, root.to_str().unwrap_or("/")));
        }
        if !policy.admits(self.peer.client(&head.headers, &settings.trusted)) {
            return Some(answers::plain(StatusCode::FORBIDDEN, "this address may not ask"));
        }
        if let Some(cors) = policy.cors.as_ref().filter(|_| head.method == Method::OPTIONS) {
            return Some(preflight(cors, head.headers.get(header::ORIGIN)));
        }
        if let Some(auth) = &policy.auth {
            let given = head.headers.get(header::AUTHORIZATION).cloned();
            let admitted = match given {
                None => false,
                Some(given) if auth.remembers(&given) => true,
                Some(given) => {
                    let auth = Arc::clone(auth);
                    tokio::task::spawn_blocking(move || auth.admits(&given)).await.unwrap_or(false)
                }
            };
            if !admitted {
                let mut response = answers::plain(StatusCode::UNAUTHORIZED, "");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, auth.challenge());
                return Some(response);
            }
        }
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if policy.body_limit.is_some_and(|limit| length.is_some_and(|length: u64| length > limit)) {
            return Some(answers::plain(StatusCode::PAYLOAD_TOO_LARGE, ""));
        }
        None
    }

    fn redirect(&self, redirect: &Redirect, head: &Parts) -> Response<ReplyBody> {
        let asked = head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let (status, location) = match redirect {
            Redirect::To(status, to) => (*status, to.replace("$request_uri", asked).replace("$host", &self.host)),
            Redirect::Replace { status, scheme, host, port, path } => {
                let secure = self.peer.came_secure(&head.headers);
                let own = if secure { "https" } else { "http" };
                let name = host.as_deref().unwrap_or(&self.host);
                let target = scheme.as_deref().unwrap_or(own);
                let port = match (port, target) {
                    (None, "https") if scheme.is_some() => self.worker.shared.settings.https_port,
                    (None, _) if scheme.is_some() => 80,
                    (None, _) => self.peer.port_text.to_str().ok().and_then(|port| port.parse().ok()).unwrap_or(80),
                    (Some(port), _) => *port,
                };
                let port = match (target, port) {
                    ("http", 80) | ("https", 443) => String::new(),
                    _ => format!(":{port}"),
                };
                let path = match path {
                    None => asked.to_owned(),
                    Some(change) => with_query(change.apply(head.uri.path()), head.uri.query()),
                };
                (*status, format!("{target}://{name}{port}{path}"))
            }
        };
        answers::elsewhere(status, &location)
    }

    async fn forward(
        &self,
        mut head: Parts,
        body: Incoming,
        policy: &Policy,
        split: &Split,
        trail: &mut Trail,
    ) -> Response<ReplyBody> {
        let Some((upstream, own)) = choose::backend(split, &head, self.worker) else {
            return answers::plain(split.missing, "the backend does not exist, see the events of its route");
        };
        trail.upstream = Some(Arc::clone(upstream));
        // Who sends a body first wants an answer to it first.
        let may_upgrade = head.version == Version::HTTP_11 && body.is_end_stream();
        let wanted = if may_upgrade { headers::wanted_upgrade(&head.headers) } else { None };
        let client = wanted.as_ref().and_then(|_| head.extensions.remove::<hyper::upgrade::OnUpgrade>());
        let sticky = policy.affinity.as_ref().map(|affinity| {
            choose::cookie(&head.headers, &affinity.cookie).and_then(|id| choose::endpoint_by_id(upstream, id))
        });
        // A tunnel's first bytes belong to the tunnel.
        let mut body = if client.is_some() { RequestBody::empty() } else { RequestBody::new(body, policy.body_limit) };
        for mirror in split.mirrors.iter().filter(|mirror| client.is_none() && mirror.takes(self.worker)) {
            let mut copy = head.clone();
            if self.prepare(&mut copy, policy, None, mirror.upstream.protocol, None).is_ok() {
                mirror.send(self.worker, copy, body.copy(), policy.timeouts);
            }
        }
        let asked = match self.prepare(&mut head, policy, own, upstream.protocol, wanted) {
            Ok(()) => Request::from_parts(head, body),
            Err(text) => return answers::plain(StatusCode::BAD_REQUEST, text),
        };
        let sent = self.send(upstream, sticky.flatten(), asked, policy, trail).await;
        let Answer { mut response, lease, address } = match sent {
            Ok(answer) => answer,
            Err(failure) => return apologize(&failure, upstream),
        };
        trail.address = Some(address);
        if let (Some(affinity), Some(before)) = (&policy.affinity, sticky)
            && before != Some(address)
        {
            let id = choose::endpoint_id(upstream, address);
            let cookie = HeaderValue::from_str(&format!("{}={id}{}", affinity.cookie, affinity.attributes));
            response.headers_mut().extend(cookie.ok().map(|cookie| (header::SET_COOKIE, cookie)));
        }
        for policy in [Some(policy), own.map(Arc::as_ref)].into_iter().flatten() {
            policy.response_headers.apply(response.headers_mut());
        }
        self.reply(response, lease, client, policy, upstream.protocol)
    }

    /// Makes a request fit for the backend.
    fn prepare(
        &self,
        head: &mut Parts,
        policy: &Policy,
        own: Option<&Arc<Policy>>,
        protocol: Protocol,
        wanted: Option<HeaderValue>,
    ) -> Result<(), &'static str> {
        let settings = &self.worker.shared.settings;
        let client = self.peer.client(&head.headers, &settings.trusted);
        let trailers = head.headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
        headers::strip(&mut head.headers);
        head.headers.remove(header::TE);
        head.headers.remove(header::EXPECT);
        join_cookies(head);
        self.peer.introduce(&mut head.headers, client, &self.authority, || self.request_id());
        for policy in [Some(policy), own.map(Arc::as_ref)].into_iter().flatten() {
            policy.request_headers.apply(&mut head.headers);
        }
        let host = own.and_then(|own| own.upstream_host.as_ref()).or(policy.upstream_host.as_ref());
        let host = host.unwrap_or(&self.authority).clone();
        let rewrite = own.and_then(|own| own.rewrite.as_ref()).or(policy.rewrite.as_ref());
        let target = match rewrite {
            None => head.uri.path_and_query().cloned(),
            Some(rewrite) => {
                let path = escaped(head.uri.path());
                let path = with_query(rewrite.apply(&path), head.uri.query());
                Some(path.parse().map_err(|_| "the rewritten path is no path")?)
            }
        };
        if protocol.is_h2() {
            // HTTP/2 has the host in the address, and there it must be whole.
            let authority = host.as_bytes();
            let scheme = if protocol.is_tls() { "https" } else { "http" };
            let built = Uri::builder().scheme(scheme).authority(authority);
            head.uri = built
                .path_and_query(target.unwrap_or(uri::PathAndQuery::from_static("/")))
                .build()
                .map_err(|_| "the host is no host")?;
            head.headers.remove(header::HOST);
            head.version = Version::HTTP_2;
            if trailers {
                head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
            }
            return Ok(());
        }
        let mut parts = uri::Parts::default();
        parts.path_and_query = target;
        head.uri = Uri::from_parts(parts).map_err(|_| "the path is no path")?;
        head.headers.insert(header::HOST, host);
        head.version = Version::HTTP_11;
        if let Some(wanted) = wanted {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, wanted);
        }
        Ok(())
    }

    fn request_id(&self) -> HeaderValue {
        let id = format!("{:016x}{:016x}", self.worker.random(), self.worker.random());
        HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("-"))
    }

    /// Sends a request. When nobody is at home, newer routes may know better: pods that are being replaced are
    /// gone some moments before the news about them is here.
    async fn send(
        &self,
        upstream: &Arc<Upstream>,
        first: Option<SocketAddr>,
        mut request: Request<RequestBody>,
        policy: &Policy,
        trail: &mut Trail,
    ) -> Result<Answer, Failure> {
        let shared = &self.worker.shared;
        let mut news = shared.generation.subscribe();
        let mut upstream = Arc::clone(upstream);
        let mut first = first;
        let deadline = tokio::time::Instant::now() + NEWS_TIME;
        loop {
            match forward::forward(self.worker, &upstream, first.take(), request, &policy.timeouts).await {
                Err(Failure::Unreachable(back)) if !upstream.endpoints.is_empty() => request = *back,
                done => return done,
            }
            if !matches!(tokio::time::timeout_at(deadline, news.changed()).await, Ok(Ok(()))) {
                return Err(Failure::Unreachable(Box::new(request)));
            }
            if let Some(newer) = shared.table.load().upstream(&upstream.name, upstream.protocol) {
                upstream = newer;
                trail.upstream = Some(Arc::clone(&upstream));
            }
        }
    }

    fn reply(
        &self,
        mut response: Response<Incoming>,
        lease: Option<super::pool::Lease>,
        client: Option<hyper::upgrade::OnUpgrade>,
        policy: &Policy,
        protocol: Protocol,
    ) -> Response<ReplyBody> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                return answers::plain(StatusCode::BAD_GATEWAY, "the backend changed the protocol unasked");
            };
            let backend = hyper::upgrade::on(&mut response);
            self.worker.shared.metrics.tunnels.add();
            tokio::spawn(tunnel::carry(client, backend, policy.timeouts.idle));
            return response.map(|_| ReplyBody::full(bytes::Bytes::new()));
        }
        headers::strip(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        let patience = if protocol.is_h2() { policy.timeouts.idle } else { policy.timeouts.read };
        response.map(|body| ReplyBody::stream(body, patience, lease))
    }
}

/// The host that a request is for, as it was sent. HTTP/1.0 need not name one.
fn authority(head: &Parts) -> Option<HeaderValue> {
    if let Some(authority) = head.uri.authority() {
        // What comes before an @ is a password, and not for the host.
        let text = authority.as_str().rsplit('@').next().unwrap_or_default();
        return HeaderValue::from_str(text).ok();
    }
    let mut all = head.headers.get_all(header::HOST).iter();
    match (all.next(), all.next()) {
        (Some(one), None) if one.to_str().is_ok_and(|host| !host.is_empty()) => Some(one.clone()),
        (None, _) if head.version == Version::HTTP_10 => Some(HeaderValue::from_static("localhost")),
        _ => None,
    }
}

/// A host without its port.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons inside of brackets are part of an address.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

fn plain_host(authority: &HeaderValue) -> String {
    let host = without_port(authority.to_str().unwrap_or_default());
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The path in its normal form, escaped again where it had to be changed.
fn escaped(path: &str) -> Cow<'_, str> {
    match normal_path(path) {
        Cow::Borrowed(path) => Cow::Borrowed(path),
        Cow::Owned(normal) => {
            let mut escaped = String::with_capacity(normal.len());
            for &byte in normal.as_bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => escaped.push(char::from(byte)),
                    byte if b"/-._~!$&'()*+,;=:@".contains(&byte) => escaped.push(char::from(byte)),
                    // Writing to a string cannot fail.
                    byte => drop(write!(escaped, "%{byte:02X}")),
                }
            }
            Cow::Owned(escaped)
        }
    }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        None => path,
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
    }
}

/// HTTP/2 may send cookies one by one, HTTP/1.1 may not.
fn join_cookies(head: &mut Parts) {
    if head.version != Version::HTTP_2 || head.headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        head.headers.insert(header::COOKIE, joined);
    }
}

fn preflight(cors: &Cors, origin: Option<&HeaderValue>) -> Response<ReplyBody> {
    let mut response = answers::empty(StatusCode::NO_CONTENT);
    allow_origin(cors, origin, &mut response);
    if response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
    }
    response
}

fn allow_origin(cors: &Cors, origin: Option<&HeaderValue>, response: &mut Response<ReplyBody>) {
    let Some(allowed) = cors.allowed(origin) else { return };
    let headers = response.headers_mut();
    if allowed != "*" {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(expose) = &cors.expose {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
    }
}

fn apologize(failure: &Failure, upstream: &Upstream) -> Response<ReplyBody> {
    let (status, text) = match failure {
        Failure::Unreachable(_) if upstream.endpoints.is_empty() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("service {} has no pods that are ready", upstream.name))
        }
        Failure::Unreachable(_) => {
            (StatusCode::BAD_GATEWAY, format!("no pod of service {} can be reached", upstream.name))
        }
        Failure::Broken => (StatusCode::BAD_GATEWAY, format!("a pod of service {} broke off", upstream.name)),
        Failure::Silent => (StatusCode::GATEWAY_TIMEOUT, format!("a pod of service {} did not answer", upstream.name)),
        Failure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
    };
    answers::plain(status, &text)
}
