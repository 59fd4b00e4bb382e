//! Where events go.

use std::sync::{Mutex, PoisonError};

use crate::{Event, Step};

/// Receives events. Implementations must return quickly: they are called from async code.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);

    /// Shorthand for [`Event::Step`].
    fn step(&self, step: Step, message: &str) {
        self.report(Event::Step { step, message: message.to_owned() });
    }

    /// Shorthand for [`Event::Info`].
    fn info(&self, message: &str) {
        self.report(Event::Info(message.to_owned()));
    }

    /// Shorthand for [`Event::Warning`].
    fn warn(&self, message: &str) {
        self.report(Event::Warning(message.to_owned()));
    }
}

/// Drops every event.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: Event) {}
}

/// Keeps every event, for tests.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// The events so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Recorder {
    fn report(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}
