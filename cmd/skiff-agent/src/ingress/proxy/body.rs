//! Bodies on their way through: never held, only counted and timed.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::pool::Lease;
use crate::ingress::access_log::Record;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It is larger than the route allows.
    #[error("the body is too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the backend was silent for too long")]
    Silent,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// How far the body of a request has come.
#[derive(Debug)]
pub(super) struct Upload {
    started: Instant,
    /// Milliseconds from the start to the last part.
    last: AtomicU64,
    /// Whether it turned out to be too large.
    pub(super) too_large: AtomicBool,
}

impl Upload {
    fn new() -> Self {
        Self { started: Instant::now(), last: AtomicU64::new(0), too_large: AtomicBool::new(false) }
    }

    fn moved(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// What is left of `patience` since the last part; nothing if it is over.
    pub(super) fn rest_of(&self, patience: Duration) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        (last + patience).checked_sub(self.started.elapsed()).filter(|rest| *rest > Duration::from_millis(1))
    }
}

/// The body of a request.
pub(crate) struct RequestBody {
    inner: Option<Incoming>,
    left: Option<u64>,
    upload: Option<Arc<Upload>>,
}

impl RequestBody {
    /// No body.
    pub(super) fn empty() -> Self {
        Self { inner: None, left: None, upload: None }
    }

    /// What a client sends, up to a limit.
    pub(super) fn new(inner: Incoming, limit: Option<u64>) -> Self {
        if inner.is_end_stream() {
            return Self::empty();
        }
        Self { inner: Some(inner), left: limit, upload: Some(Arc::new(Upload::new())) }
    }

    /// Its progress, if there is a body at all.
    pub(super) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyFault::Broken(error)))),
            Some(Ok(frame)) => frame,
        };
        if let Some(upload) = &this.upload {
            upload.moved();
        }
        if let (Some(left), Some(data)) = (&mut this.left, frame.data_ref()) {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    if let Some(upload) = &this.upload {
                        upload.too_large.store(true, Ordering::Relaxed);
                    }
                    return Poll::Ready(Some(Err(BodyFault::TooLarge)));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer. When it goes, the request is written to the access log.
pub(crate) struct ReplyBody {
    source: Source,
    record: Option<Record>,
}

enum Source {
    Full(Bytes),
    Stream(Stream),
}

/// A body that comes from a backend.
struct Stream {
    inner: Incoming,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    lease: Option<Lease>,
}

impl ReplyBody {
    /// A body that is there already.
    pub(super) fn full(data: Bytes) -> Self {
        Self { source: Source::Full(data), record: None }
    }

    /// A body from a backend, whose connection is given back at its end.
    pub(super) fn stream(inner: Incoming, patience: Duration, lease: Option<Lease>) -> Self {
        let mut stream = Stream { inner, patience, silence: None, lease };
        stream.finish_if_at_end();
        Self { source: Source::Stream(stream), record: None }
    }

    /// Names the entry of the access log.
    pub(super) fn record(&mut self, record: Record) {
        self.record = Some(record);
    }
}

impl Stream {
    fn finish_if_at_end(&mut self) {
        if self.inner.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => {
                self.silence = None;
                self.finish_if_at_end();
                Poll::Ready(Some(frame.map_err(BodyFault::Broken)))
            }
            Poll::Pending => {
                let patience = self.patience;
                let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                silence.as_mut().poll(cx).map(|()| Some(Err(BodyFault::Silent)))
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Full(data) if data.is_empty() => None,
            Source::Full(data) => Some(Ok(Frame::data(std::mem::take(data)))),
            Source::Stream(stream) => ready!(stream.poll(cx)),
        };
        if let (Some(record), Some(Ok(frame))) = (&mut this.record, &frame)
            && let Some(data) = frame.data_ref()
        {
            record.sent(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(data) => data.is_empty(),
            Source::Stream(stream) => stream.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(data) => SizeHint::with_exact(data.len() as u64),
            Source::Stream(stream) => stream.inner.size_hint(),
        }
    }
}
