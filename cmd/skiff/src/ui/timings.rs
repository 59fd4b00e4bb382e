//! `--timings`: where the time went.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use skiff_report::{Event, Reporter};

use super::{table, terminal::seconds};

/// Passes every event on and remembers how long each phase took.
pub(crate) struct Timings {
    inner: Arc<dyn Reporter>,
    phases: Mutex<Vec<(String, Duration)>>,
}

impl Timings {
    pub(crate) fn new(inner: Arc<dyn Reporter>) -> Self {
        Self { inner, phases: Mutex::default() }
    }

    /// The phases as a table, in the order they ended; `None` when there were none.
    pub(crate) fn table(&self) -> Option<String> {
        let phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = phases.iter().map(|(phase, elapsed)| {
            let exact = if *elapsed < Duration::from_secs(1) {
                format!("{} ms", elapsed.as_millis())
            } else {
                seconds(*elapsed)
            };
            [phase.clone(), exact]
        });
        (!phases.is_empty()).then(|| table(["Phase", "Time"], rows).to_string())
    }
}

impl Reporter for Timings {
    fn report(&self, event: Event) {
        if let Event::Timing { phase, elapsed } = &event {
            self.phases.lock().unwrap_or_else(PoisonError::into_inner).push((phase.clone(), *elapsed));
        }
        self.inner.report(event);
    }
}

#[cfg(test)]
mod tests {
    use skiff_report::Recorder;

    use super::*;

    #[test]
    fn phases_are_listed_as_they_end_and_events_pass_on() {
        let recorder = Arc::new(Recorder::default());
        let timings = Timings::new(recorder.clone());
        assert_eq!(timings.table(), None);
        for (phase, ms) in [("node/create", 420), ("bootstrap/init", 6_300)] {
            timings.report(Event::Timing { phase: phase.to_owned(), elapsed: Duration::from_millis(ms) });
        }
        insta::assert_snapshot!(timings.table().unwrap());
        assert_eq!(recorder.events().len(), 2);
    }
}
