//! One request, from its head to the head of its answer.

use std::{sync::Arc, time::Instant};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;

use super::{Worker, answers, body::ReplyBody, early::allow_origin, headers::Peer};
use crate::ingress::{
    access_log::{Record, Trail},
    table::{Action, Asked, Route, normal_path},
};

/// Answers a request.
pub(super) async fn serve(worker: Arc<Worker>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<ReplyBody> {
    let started = Instant::now();
    let record = Record::begin(&worker.shared.log, started, peer.ip, &request);
    let mut trail = Trail::default();
    let mut response = answer(&worker, &peer, request, &mut trail).await;
    let metrics = &worker.shared.metrics;
    metrics.answered(response.status());
    metrics.duration.observe(started.elapsed());
    if let Some(mut record) = record {
        record.answered(response.status(), trail);
        response.body_mut().record(record);
    }
    response
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
pub(super) struct Call<'a> {
    pub(super) worker: &'a Arc<Worker>,
    pub(super) peer: Arc<Peer>,
    /// The host in the form that routes have.
    pub(super) host: String,
    /// The host as it was sent, with its port.
    pub(super) authority: HeaderValue,
}

impl Call<'_> {
    fn find(&self, head: &Parts) -> Option<Arc<Route>> {
        let path = normal_path(head.uri.path());
        let asked = Asked { secure: self.peer.secure, host: &self.host, path: &path, head };
        self.worker.shared.table.load().find(&asked).cloned()
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
