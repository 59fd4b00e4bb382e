//! The access log: one line a request, written by a thread of its own so that a slow reader slows nobody down.

use std::{
    fmt::Write as _,
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, StatusCode, header, uri};

use super::table::{Route, Upstream};
use crate::metrics::Counter;

/// What may wait to be written; what comes on top is dropped and counted.
const ROOM: usize = 4 << 20;
/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(100);

/// Where lines go.
pub(crate) struct AccessLog {
    /// None if nothing is to be logged.
    waiting: Option<Mutex<Vec<u8>>>,
    news: Condvar,
    /// Lines that were dropped because nobody read them.
    pub(crate) dropped: Counter,
}

impl AccessLog {
    /// A log that nobody wants.
    pub(crate) fn off() -> Arc<Self> {
        Arc::new(Self { waiting: None, news: Condvar::new(), dropped: Counter::default() })
    }

    /// A log that is written to `out`.
    pub(crate) fn to(mut out: impl Write + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self { waiting: Some(Mutex::default()), news: Condvar::new(), dropped: Counter::default() });
        let weak = Arc::downgrade(&log);
        std::thread::spawn(move || {
            let mut lines = Vec::new();
            while let Some(log) = weak.upgrade() {
                log.take(&mut lines);
                drop(log);
                // Nothing can be done about a log that nobody takes.
                let _ = out.write_all(&lines).and_then(|()| out.flush());
                lines.clear();
                std::thread::sleep(GATHER);
            }
        });
        log
    }

    /// Waits for lines, at most a while.
    fn take(&self, lines: &mut Vec<u8>) {
        let Some(waiting) = &self.waiting else { return };
        let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(waiting, Duration::from_secs(5), |waiting| waiting.is_empty());
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *waiting, lines);
        // A burst need not take its memory for ever.
        if waiting.capacity() > ROOM / 16 {
            *waiting = Vec::new();
        }
    }

    /// Whether lines are wanted at all.
    pub(crate) fn is_on(&self) -> bool {
        self.waiting.is_some()
    }

    fn add(&self, line: &[u8]) {
        let Some(waiting) = &self.waiting else { return };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + line.len() > ROOM {
            self.dropped.add();
            return;
        }
        let first = waiting.is_empty();
        waiting.extend_from_slice(line);
        drop(waiting);
        if first {
            self.news.notify_one();
        }
    }
}

/// Where a request went, as far as it came.
#[derive(Default)]
pub(crate) struct Trail {
    /// The route that it took.
    pub(crate) route: Option<Arc<Route>>,
    /// The backend.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// The endpoint that answered.
    pub(crate) address: Option<SocketAddr>,
}

/// A line in the making. It is written when it goes out of scope, which is when the answer has been sent.
pub(crate) struct Record {
    log: Arc<AccessLog>,
    started: Instant,
    line: String,
    agent: Option<HeaderValue>,
    trail: Trail,
    bytes: u64,
}

impl Record {
    /// A record of a request that began at `started`; none if nothing is logged.
    pub(crate) fn begin<B>(
        log: &Arc<AccessLog>,
        started: Instant,
        client: IpAddr,
        request: &Request<B>,
    ) -> Option<Self> {
        if !log.is_on() {
            return None;
        }
        let mut line = String::with_capacity(256);
        let now = jiff::Timestamp::now();
        let host = request.uri().host().map(str::as_bytes);
        let host = host.or_else(|| request.headers().get(header::HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(line, "{client} {now:.3} \"");
        escape(&mut line, host);
        line.push_str("\" \"");
        escape(&mut line, request.method().as_str().as_bytes());
        line.push(' ');
        let path = request.uri().path_and_query().map_or("", uri::PathAndQuery::as_str);
        escape(&mut line, path.as_bytes());
        let _ = write!(line, " {:?}\"", request.version());
        let agent = request.headers().get(header::USER_AGENT).cloned();
        Some(Self { log: Arc::clone(log), started, line, agent, trail: Trail::default(), bytes: 0 })
    }

    /// Notes the head of the answer and the way to it.
    pub(crate) fn answered(&mut self, status: StatusCode, trail: Trail) {
        self.line.push(' ');
        self.line.push_str(status.as_str());
        self.trail = trail;
    }

    /// Counts bytes of the answer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { line, trail, .. } = self;
        let route = trail.route.as_ref().map_or("-", |route| &route.name);
        let upstream = trail.upstream.as_ref().map_or("-", |upstream| &upstream.name);
        // Writing to a string cannot fail.
        let _ = write!(line, " {} {:.3} {route} {upstream} ", self.bytes, self.started.elapsed().as_secs_f64());
        match trail.address {
            Some(address) => drop(write!(line, "{address}")),
            None => line.push('-'),
        }
        line.push_str(" \"");
        escape(line, self.agent.as_ref().map_or(b"-", HeaderValue::as_bytes));
        line.push_str("\"\n");
        self.log.add(line.as_bytes());
    }
}

/// Adds text from outside. What could be taken for the end of its quotes or of the line is escaped.
fn escape(line: &mut String, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            0x20..=0x7e => line.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line_of(request: &Request<()>) -> String {
        let sink = Sink::default();
        let log = AccessLog::to(sink.clone());
        let mut record = Record::begin(&log, Instant::now(), [192, 0, 2, 1].into(), request).unwrap();
        record.answered(StatusCode::OK, Trail::default());
        record.sent(7);
        drop(record);
        while sink.0.lock().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_written_when_its_record_goes() {
        let line =
            line_of(&Request::get("/a?b").header("host", "web.test").header("user-agent", "me").body(()).unwrap());
        let (client, rest) = line.split_once(' ').unwrap();
        let (time, rest) = rest.split_once(' ').unwrap();
        assert_eq!((client, time.len()), ("192.0.2.1", "2026-01-02T03:04:05.678Z".len()));
        let (before, after) = rest.split_once(" 7 0.").unwrap();
        assert_eq!(before, "\"web.test\" \"GET /a?b HTTP/1.1\" 200");
        assert_eq!(after.split_once(' ').unwrap().1, "- - - \"me\"\n");
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let mut line = String::new();
        escape(&mut line, b"a\"b\\c\nd\xff");
        assert_eq!(line, "a\\\"b\\\\c\\x0ad\\xff");
        let agent = HeaderValue::from_bytes(b"x\" 200\xff").unwrap();
        let line = line_of(&Request::get("/").header("user-agent", agent).body(()).unwrap());
        assert!(line.ends_with(" \"x\\\" 200\\xff\"\n"), "{line}");
    }
}
