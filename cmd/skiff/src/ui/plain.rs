//! Lines without control codes.

use std::sync::{Mutex, PoisonError};

use skiff_report::{Event, Reporter};

use super::{Stream, Ui};
use crate::failure::Failure;

/// One line a step as it begins; one line for each new thing within it.
pub(crate) struct Plain {
    out: Stream,
    err: Stream,
    /// What the last line of progress was about: the same thing is not told twice.
    working_on: Mutex<String>,
}

impl Plain {
    pub(crate) fn new(out: Stream, err: Stream) -> Self {
        Self { out, err, working_on: Mutex::default() }
    }

    fn progress(&self, what: String) {
        let mut last = self.working_on.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != what {
            self.out.line(&format!("  {what}"));
            *last = what;
        }
    }
}

impl Reporter for Plain {
    fn report(&self, event: Event) {
        match event {
            Event::Step { message, .. } | Event::Stage { message, .. } | Event::Info(message) => {
                self.out.line(&message)
            }
            Event::Progress { what, .. } => self.progress(what),
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
