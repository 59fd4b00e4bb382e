//! Lines without control codes.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use skiff_report::{Event, Reporter};

use super::{Stream, Ui};
use crate::failure::Failure;

/// How often work that goes on is told again, so that a log shows that it does.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// One line a step as it begins; one line for each new thing within it.
pub(crate) struct Plain {
    out: Stream,
    err: Stream,
    /// What the last line of progress was about, and when it was written.
    working_on: Mutex<Option<(String, Instant)>>,
}

impl Plain {
    pub(crate) fn new(out: Stream, err: Stream) -> Self {
        Self { out, err, working_on: Mutex::default() }
    }

    fn progress(&self, what: &str) {
        // What only counts up, seconds or files, is the same work.
        let subject: String = what.chars().filter(|c| !c.is_ascii_digit()).collect();
        let mut last = self.working_on.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(before, at): &(String, Instant)| *before == subject && at.elapsed() < HEARTBEAT;
        if !last.as_ref().is_some_and(told) {
            self.out.line(&format!("  {what}"));
            *last = Some((subject, Instant::now()));
        }
    }
}

impl Reporter for Plain {
    fn report(&self, event: Event) {
        match event {
            Event::Step { message, .. } | Event::Stage { message, .. } | Event::Info(message) => {
                self.out.line(&message)
            }
            Event::Progress { what, .. } => self.progress(&what),
            Event::Warning(message) => self.err.line(&format!("warning: {message}")),
            Event::Timing { .. } => {}
        }
    }
}

impl Ui for Plain {
    fn failure(&self, failure: &Failure) {
        self.err.line(&failure.to_text());
    }

    fn finish(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::stream::capture::Capture;

    #[test]
    fn what_only_counts_up_is_told_once() {
        let out = Capture::default();
        let plain = Plain::new(out.stream(), out.stream());
        for what in ["unpacking (0 s)", "unpacking (1 s)", "compiling 1 of 20", "compiling 2 of 20", "unpacking (0 s)"]
        {
            plain.report(Event::Progress { what: what.to_owned(), fraction: None });
        }
        assert_eq!(out.text(), "  unpacking (0 s)\n  compiling 1 of 20\n  unpacking (0 s)\n");
    }

    #[test]
    fn steps_are_lines_and_warnings_go_to_the_other_stream() {
        let (out, err) = (Capture::default(), Capture::default());
        let plain = Plain::new(out.stream(), err.stream());
        for event in crate::ui::terminal::tests::a_start() {
            plain.report(event);
        }
        plain.failure(&crate::failure::tests::docker_is_off());
        plain.finish();
        insta::assert_snapshot!("plain_stdout", out.text());
        insta::assert_snapshot!("plain_stderr", err.text());
    }
}
