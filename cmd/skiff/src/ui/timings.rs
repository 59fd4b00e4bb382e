//! `--timings`: where the time went.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use skiff_report::{Event, Reporter, Step};

use super::{table, terminal::seconds};

/// Passes every event on and remembers how long each phase took.
pub(crate) struct Timings {
    inner: Arc<dyn Reporter>,
    /// A step after the first began: the cluster is this start's to change.
    at_work: AtomicBool,
    phases: Mutex<Vec<(String, Duration)>>,
}

impl Timings {
    pub(crate) fn new(inner: Arc<dyn Reporter>) -> Self {
        Self { inner, at_work: AtomicBool::new(false), phases: Mutex::default() }
    }

    /// True once a step after the first began. Before that, another skiff may hold the cluster.
    pub(crate) fn at_work(&self) -> bool {
        self.at_work.load(Ordering::Relaxed)
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
        match &event {
            Event::Timing { phase, elapsed } => {
                self.phases.lock().unwrap_or_else(PoisonError::into_inner).push((phase.clone(), *elapsed));
            }
            Event::Step { step, .. } if *step > Step::InitialSetup => self.at_work.store(true, Ordering::Relaxed),
            _ => {}
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

    #[test]
    fn work_begins_after_the_first_step() {
        let timings = Timings::new(Arc::new(Recorder::default()));
        timings.step(Step::InitialSetup, "reading settings");
        timings.info("waiting for another skiff");
        assert!(!timings.at_work());
        timings.step(Step::SelectingDriver, "docker");
        assert!(timings.at_work());
    }
}
