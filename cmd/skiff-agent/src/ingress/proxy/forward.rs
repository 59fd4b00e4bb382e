//! A request on its way to an endpoint, and to the next one if that is gone.
//!
//! What has not been sent can be sent again, whatever it is. What may have been sent is sent again only if it has no
//! body and its method promises that doing it twice is like doing it once.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::TrySendError,
};

use super::{
    Worker,
    body::{RequestBody, Upload},
    pool::{Key, Lease, Sender},
    serve::without_port,
};
use crate::ingress::{policy::Timeouts, table::Upstream};

/// How many endpoints a request is tried with.
const TRIES: usize = 5;
/// How long connecting may take while there are others to try.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// How long after a change of a service's pods some of them may be about to close their connections.
const UNREST: Duration = Duration::from_secs(15);

/// Why there is no answer.
pub(super) enum Failure {
    /// No endpoint could be connected to; the request is as it was.
    Unreachable(Box<Request<RequestBody>>),
    /// The endpoint broke the connection.
    Broken,
    /// The endpoint did not answer in time.
    Silent,
    /// The body turned out to be too large.
    TooLarge,
}

/// An answer and where it came from.
pub(super) struct Answer {
    /// The answer.
    pub(super) response: Response<Incoming>,
    /// The connection, to give back after the answer.
    pub(super) lease: Option<Lease>,
    /// The endpoint.
    pub(super) address: SocketAddr,
}

/// What is kept of a request that may be sent again.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    version: Version,
}

impl Copy {
    fn of(request: &Request<RequestBody>) -> Option<Self> {
        repeatable(request).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            version: request.version(),
        })
    }

    fn request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        *request.version_mut() = self.version;
        request
    }
}

/// Whether doing it twice is like doing it once.
fn repeatable(request: &Request<RequestBody>) -> bool {
    request.body().is_end_stream() && request.method().is_idempotent()
}

/// How one try ended.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and it stays on the stack")]
enum Try {
    Answered(Response<Incoming>, Option<Lease>),
    /// The request is whole and can go elsewhere.
    Again(Box<Request<RequestBody>>),
    Failed(Failure),
}

/// Sends a request to an endpoint of `upstream`, `first` before all others.
pub(super) async fn forward(
    worker: &Worker,
    upstream: &Upstream,
    first: Option<SocketAddr>,
    mut request: Request<RequestBody>,
    timeouts: &Timeouts,
) -> Result<Answer, Failure> {
    let turn = upstream.in_turn();
    let alive = turn.clone().filter(|address| !worker.pool.is_dead(*address));
    let dead = turn.filter(|address| worker.pool.is_dead(*address));
    let order = first.into_iter().chain(alive).chain(dead);
    let mut left = upstream.endpoints.len().min(TRIES);
    // A connection that is closed at this very moment breaks a request that must not be repeated. Pods that are being
    // replaced do close theirs; a new connection is either taken or refused.
    let reuse = upstream.protocol.is_h2() || repeatable(&request) || !upstream.changed_within(UNREST);
    for (count, address) in order.enumerate() {
        if left == 0 {
            break;
        }
        if count > 0 {
            worker.shared.metrics.retries.add();
        }
        left -= 1;
        let key = Key { address, protocol: upstream.protocol };
        let patience = if left > 0 { timeouts.connect.min(FIRST_PATIENCE) } else { timeouts.connect };
        match endpoint(worker, key, (patience, reuse), timeouts, request).await {
            Try::Answered(response, lease) => return Ok(Answer { response, lease, address }),
            Try::Failed(failure) => return Err(failure),
            Try::Again(back) => request = *back,
        }
    }
    Err(Failure::Unreachable(Box::new(request)))
}

/// Tries one endpoint: on a connection that is open, and if that fails on a new one.
async fn endpoint(
    worker: &Worker,
    key: Key,
    (patience, reuse): (Duration, bool),
    timeouts: &Timeouts,
    mut request: Request<RequestBody>,
) -> Try {
    if let Some(sender) = reuse.then(|| worker.pool.take(key)).flatten() {
        match send(worker, key, sender, timeouts, request).await {
            Try::Again(back) => {
                worker.shared.metrics.retries.add();
                request = *back;
            }
            done => return done,
        }
    }
    // Boxed, as it is rare and large: the future of each request would have room for it.
    let connect = Box::pin(worker.pool.connect(key, host(&request)));
    let sender = match tokio::time::timeout(patience, connect).await {
        Ok(Ok(sender)) => sender,
        failed => {
            let error = failed.err().map_or_else(|| "refused or broken".to_owned(), |elapsed| elapsed.to_string());
            tracing::debug!(address = %key.address, error, "cannot connect to an endpoint");
            worker.shared.metrics.connects_failed.add();
            worker.pool.mark_dead(key.address);
            return Try::Again(Box::new(request));
        }
    };
    send(worker, key, sender, timeouts, request).await
}

/// The host that a request is for, without its port.
fn host(request: &Request<RequestBody>) -> &str {
    let header = || request.headers().get(http::header::HOST)?.to_str().ok();
    request.uri().host().or_else(header).map_or("", without_port)
}

async fn send(worker: &Worker, key: Key, sender: Sender, timeouts: &Timeouts, request: Request<RequestBody>) -> Try {
    let copy = Copy::of(&request);
    let upload = request.body().upload();
    // A gRPC call may be silent in both directions for long before its answer begins.
    let patience = if key.protocol.is_h2() { timeouts.idle } else { timeouts.read };
    let (sent, lease) = match sender {
        Sender::One(mut sender) => {
            let sent = in_time(sender.try_send_request(request), patience, upload.as_ref()).await;
            (sent, Some(Lease::new(&worker.pool, key, sender)))
        }
        Sender::Many(mut sender) => {
            let sent = in_time(sender.try_send_request(request), patience, upload.as_ref()).await;
            if matches!(sent, Some(Err(_))) {
                worker.pool.forget(key);
            }
            (sent, None)
        }
    };
    let mut error = match sent {
        Some(Ok(response)) => return Try::Answered(response, lease),
        Some(Err(error)) => error,
        None => return Try::Failed(Failure::Silent),
    };
    if upload.is_some_and(|upload| upload.too_large.load(Ordering::Relaxed)) {
        return Try::Failed(Failure::TooLarge);
    }
    match error.take_message().or_else(|| copy.map(Copy::request)) {
        Some(request) => Try::Again(Box::new(request)),
        None => {
            tracing::debug!(address = %key.address, error = %crate::api::chain(error.error()), "an endpoint broke off");
            Try::Failed(Failure::Broken)
        }
    }
}

/// Waits for an answer. Time counts from the last part of the request's body.
async fn in_time(
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    patience: Duration,
    upload: Option<&Arc<Upload>>,
) -> Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
    let mut answer = std::pin::pin!(answer);
    let mut rest = patience;
    loop {
        match tokio::time::timeout(rest, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) => rest = upload.and_then(|upload| upload.rest_of(patience))?,
        }
    }
}
