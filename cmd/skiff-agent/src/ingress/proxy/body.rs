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
use tokio::{sync::mpsc, time::Sleep};

use super::pool::Lease;
use crate::ingress::access_log::Record;

/// Parts of a body that may wait for a copy to be read.
const COPY_ROOM: usize = 64;

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
    /// It is a copy, and the original went on without it.
    #[error("the copy fell behind")]
    Lost,
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
    source: RequestSource,
    left: Option<u64>,
    upload: Option<Arc<Upload>>,
    /// Who gets the same. A copy that falls behind is given up.
    copies: Vec<mpsc::Sender<Part>>,
}

enum RequestSource {
    Nothing,
    Client(Incoming),
    Copy(mpsc::Receiver<Part>),
}

/// A part of a body on its way to a copy. Without an end, the copy is not whole.
enum Part {
    Data(Bytes),
    End,
}

impl RequestBody {
    /// No body.
    pub(super) fn empty() -> Self {
        Self { source: RequestSource::Nothing, left: None, upload: None, copies: Vec::new() }
    }

    /// What a client sends, up to a limit.
    pub(super) fn new(inner: Incoming, limit: Option<u64>) -> Self {
        if inner.is_end_stream() {
            return Self::empty();
        }
        let upload = Some(Arc::new(Upload::new()));
        Self { source: RequestSource::Client(inner), left: limit, upload, copies: Vec::new() }
    }

    /// Its progress, if there is a body at all.
    pub(super) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    /// A body that is the same, and comes as fast as this one is read.
    pub(super) fn copy(&mut self) -> Self {
        if matches!(self.source, RequestSource::Nothing) {
            return Self::empty();
        }
        let (sender, receiver) = mpsc::channel(COPY_ROOM);
        self.copies.push(sender);
        let upload = Some(Arc::new(Upload::new()));
        Self { source: RequestSource::Copy(receiver), left: None, upload, copies: Vec::new() }
    }

    /// Counts a part and passes it on to the copies.
    fn pass(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyFault> {
        if let Some(upload) = &self.upload {
            upload.moved();
        }
        let Some(data) = frame.data_ref() else { return Ok(()) };
        if let Some(left) = &mut self.left {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    if let Some(upload) = &self.upload {
                        upload.too_large.store(true, Ordering::Relaxed);
                    }
                    return Err(BodyFault::TooLarge);
                }
            }
        }
        self.copies.retain(|copy| copy.try_send(Part::Data(data.clone())).is_ok());
        Ok(())
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut self.source {
            RequestSource::Nothing => Poll::Ready(None),
            RequestSource::Client(inner) => {
                let frame = ready!(Pin::new(inner).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BodyFault::Broken)))
            }
            RequestSource::Copy(parts) => Poll::Ready(match ready!(parts.poll_recv(cx)) {
                Some(Part::Data(data)) => Some(Ok(Frame::data(data))),
                Some(Part::End) => None,
                None => Some(Err(BodyFault::Lost)),
            }),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let result = match ready!(this.poll_source(cx)) {
            Some(Ok(frame)) => Some(this.pass(&frame).map(|()| frame)),
            other => other,
        };
        if result.is_none() || this.is_end_stream() {
            this.copies.drain(..).for_each(|copy| drop(copy.try_send(Part::End)));
        }
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            RequestSource::Nothing => true,
            RequestSource::Client(inner) => inner.is_end_stream(),
            RequestSource::Copy(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            RequestSource::Nothing => SizeHint::with_exact(0),
            RequestSource::Client(inner) => inner.size_hint(),
            RequestSource::Copy(_) => SizeHint::default(),
        }
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
    /// What has been read before it was asked for.
    ahead: Option<Read>,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    lease: Option<Lease>,
}

/// A part of a body; none at its end.
type Read = Option<Result<Frame<Bytes>, BodyFault>>;

impl ReplyBody {
    /// A body that is there already.
    pub(super) fn full(data: Bytes) -> Self {
        Self { source: Source::Full(data), record: None }
    }

    /// A body from a backend, whose connection is given back at its end.
    pub(super) fn stream(inner: Incoming, patience: Duration, lease: Option<Lease>) -> Self {
        let mut stream = Stream { inner, ahead: None, patience, silence: None, lease };
        stream.finish_if_at_end();
        Self { source: Source::Stream(stream), record: None }
    }

    /// Takes the first part if it came together with the head, so that both leave together: what costs most is to
    /// write twice. Nothing is waited for but other tasks of this thread, one of which reads from the backend.
    pub(super) async fn look_ahead(&mut self) {
        let Source::Stream(stream) = &mut self.source else { return };
        if stream.is_at_end() {
            return;
        }
        let mut asked = false;
        stream.ahead = std::future::poll_fn(|cx| match stream.poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if asked => Poll::Ready(None),
            Poll::Pending => {
                asked = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
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

    fn is_at_end(&self) -> bool {
        match &self.ahead {
            Some(read) => read.is_none(),
            None => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.inner.size_hint();
        let ahead = match &self.ahead {
            Some(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => return rest,
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if let Some(read) = self.ahead.take() {
            return Poll::Ready(read);
        }
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
            Source::Stream(stream) => stream.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(data) => SizeHint::with_exact(data.len() as u64),
            Source::Stream(stream) => stream.size_hint(),
        }
    }
}
