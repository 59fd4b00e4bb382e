//! Bodies of answers: from a backend, or made here.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::BodyFault;
use crate::ingress::{access_log::Record, proxy::pool::Lease};

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
    pub(crate) fn full(data: Bytes) -> Self {
        Self { source: Source::Full(data), record: None }
    }

    /// A body from a backend, whose connection is given back at its end.
    pub(crate) fn stream(inner: Incoming, patience: Duration, lease: Option<Lease>) -> Self {
        let mut stream = Stream { inner, ahead: None, patience, silence: None, lease };
        stream.finish_if_at_end();
        Self { source: Source::Stream(stream), record: None }
    }

    /// Takes the first part if it came together with the head, so that both leave together: what costs most is to
    /// write twice. Nothing is waited for but other tasks of this thread, one of which reads from the backend.
    pub(crate) async fn look_ahead(&mut self) {
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
    pub(crate) fn record(&mut self, record: Record) {
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
