//! The access log: one line a request, written by a thread of its own so that a slow reader slows nobody down.

use std::{
    fmt::Write as _,
    io::Write,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

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

/// A line in the making. It is written when it goes out of scope, which is when the answer has been sent.
pub(crate) struct Record {
    log: Arc<AccessLog>,
    head: String,
    tail: String,
    started: Instant,
    bytes: u64,
}

impl Record {
    /// A record of a request that began at `started`. `head` goes before the number of bytes and the time, `tail` after.
    pub(crate) fn new(log: &Arc<AccessLog>, started: Instant, head: String, tail: String) -> Self {
        Self { log: Arc::clone(log), head, tail, started, bytes: 0 }
    }

    /// Counts bytes of the answer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut line = std::mem::take(&mut self.head);
        // Writing to a string cannot fail.
        let _ = writeln!(line, " {} {:.3} {}", self.bytes, self.started.elapsed().as_secs_f64(), self.tail);
        self.log.add(line.as_bytes());
    }
}

/// Adds text from outside in quotes; what could be taken for the end of it or of the line is escaped.
pub(crate) fn quote(line: &mut String, text: &[u8]) {
    line.push('"');
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
    line.push('"');
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

    #[test]
    fn a_line_is_written_when_its_record_goes() {
        let sink = Sink::default();
        let log = AccessLog::to(sink.clone());
        let mut record = Record::new(&log, Instant::now(), "head".to_owned(), "tail".to_owned());
        record.sent(7);
        drop(record);
        while sink.0.lock().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let line = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(line.starts_with("head 7 0.") && line.ends_with(" tail\n"), "{line}");
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let mut line = String::new();
        quote(&mut line, b"a\"b\\c\nd\xff");
        assert_eq!(line, "\"a\\\"b\\\\c\\x0ad\\xff\"");
    }
}
