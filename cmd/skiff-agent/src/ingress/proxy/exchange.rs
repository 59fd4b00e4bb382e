//! A request and its answer: to a backend and back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::{Body as _, Incoming};

use super::{
    answers,
    body::{ReplyBody, RequestBody},
    choose,
    forward::{self, Answer, Failure},
    headers,
    serve::Call,
    tunnel,
};
use crate::ingress::{
    access_log::Trail,
    policy::Policy,
    table::{Protocol, Split, Upstream},
};

/// How long a request that found nobody at home waits for newer routes.
const NEWS_TIME: Duration = Duration::from_secs(2);

impl Call<'_> {
    /// Sends the request to a backend and gives what the client gets.
    pub(super) async fn forward(
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
        self.reply(response, lease, client, policy, upstream.protocol).await
    }

    /// Sends a request. When nobody is at home, newer routes may know better: pods that are being replaced are
    /// gone some moments before the news about them is here.
    async fn send(
        &self,
        upstream: &Arc<Upstream>,
        first: Option<SocketAddr>,
        request: Request<RequestBody>,
        policy: &Policy,
        trail: &mut Trail,
    ) -> Result<Answer, Failure> {
        let shared = &self.worker.shared;
        let mut tried = Arc::clone(upstream);
        let mut back = match forward::forward(self.worker, upstream, first, request, &policy.timeouts).await {
            Err(Failure::Unreachable(back)) if !tried.endpoints.is_empty() => back,
            done => return done,
        };
        let deadline = tokio::time::Instant::now() + NEWS_TIME;
        let mut news = shared.generation.subscribe();
        loop {
            let newer = shared.table.load().upstream(&tried.name, tried.protocol);
            if let Some(newer) = newer.filter(|newer| !Arc::ptr_eq(newer, &tried)) {
                trail.upstream = Some(Arc::clone(&newer));
                back = match forward::forward(self.worker, &newer, None, *back, &policy.timeouts).await {
                    Err(Failure::Unreachable(back)) if !newer.endpoints.is_empty() => back,
                    done => return done,
                };
                tried = newer;
            }
            if !matches!(tokio::time::timeout_at(deadline, news.changed()).await, Ok(Ok(()))) {
                return Err(Failure::Unreachable(back));
            }
        }
    }

    async fn reply(
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
        let (head, body) = response.into_parts();
        let mut body = ReplyBody::stream(body, patience, lease);
        body.look_ahead().await;
        Response::from_parts(head, body)
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
