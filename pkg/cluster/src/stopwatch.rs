//! How long the parts of a use case take.

use std::time::{Duration, Instant};

use skiff_report::{Event, Reporter};

/// Reports the time of each named part; the parts need not follow each other.
pub(crate) struct Stopwatch<'a> {
    reporter: &'a dyn Reporter,
    begin: Instant,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn start(reporter: &'a dyn Reporter) -> Self {
        Self { reporter, begin: Instant::now() }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Awaits `work` and reports how long it took under the name of `phase`.
    pub(crate) async fn time<T>(&self, phase: &str, work: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let result = work.await;
        self.reporter.report(Event::Timing { phase: phase.to_owned(), elapsed: begin.elapsed() });
        result
    }
}
