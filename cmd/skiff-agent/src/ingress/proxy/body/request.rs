//! Bodies of requests: limited, timed, and copied for mirrors.

use std::{
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
use tokio::sync::mpsc;

use super::BodyFault;

/// Parts of a body that may wait for a copy to be read.
const COPY_ROOM: usize = 64;

/// How far the body of a request has come.
#[derive(Debug)]
pub(crate) struct Upload {
    started: Instant,
    /// Milliseconds from the start to the last part.
    last: AtomicU64,
    /// Whether it turned out to be too large.
    pub(crate) too_large: AtomicBool,
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
    pub(crate) fn rest_of(&self, patience: Duration) -> Option<Duration> {
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
    pub(crate) fn empty() -> Self {
        Self { source: RequestSource::Nothing, left: None, upload: None, copies: Vec::new() }
    }

    /// What a client sends, up to a limit.
    pub(crate) fn new(inner: Incoming, limit: Option<u64>) -> Self {
        if inner.is_end_stream() {
            return Self::empty();
        }
        let upload = Some(Arc::new(Upload::new()));
        Self { source: RequestSource::Client(inner), left: limit, upload, copies: Vec::new() }
    }

    /// Its progress, if there is a body at all.
    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }

    /// A body that is the same, and comes as fast as this one is read.
    pub(crate) fn copy(&mut self) -> Self {
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
