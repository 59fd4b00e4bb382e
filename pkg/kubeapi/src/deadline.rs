//! Patience: when to stop trying, and how long to rest between two tries.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::Trouble;

/// The moment when patience is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    begin: Instant,
    end: Instant,
}

impl Deadline {
    /// `patience` from now.
    pub(crate) fn after(patience: Duration) -> Self {
        let begin = Instant::now();
        // A patience beyond the clock's range is as good as a year.
        let end = begin.checked_add(patience).unwrap_or(begin + Duration::from_hours(24 * 365));
        Self { begin, end }
    }

    /// The whole patience.
    pub(crate) fn patience(&self) -> Duration {
        self.end - self.begin
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// True when nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Runs `future`, but not longer than `limit` or beyond the deadline.
    pub(crate) async fn limit<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let end = self.end.min(Instant::now() + limit);
        timeout_at(end, future).await.unwrap_or_else(|_| Err(Trouble::slow()))
    }

    /// Rests, but not beyond the deadline.
    pub(crate) async fn rest(&self, time: Duration) {
        sleep(time.min(self.left())).await;
    }
}

/// Growing rests: quick at first, as most troubles at a cluster's birth last milliseconds.
#[derive(Debug)]
pub(crate) struct Rests {
    next: Duration,
    longest: Duration,
}

impl Rests {
    const FIRST: Duration = Duration::from_millis(20);

    /// Rests of up to a fifth of a second.
    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST, longest: Duration::from_millis(200) }
    }

    /// The next rest.
    pub(crate) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 3 / 2).min(self.longest);
        now
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_fifth_of_a_second_and_start_over() {
        let mut rests = Rests::new();
        let all: Vec<_> = (0..20).map(|_| rests.next()).collect();
        assert!(all.is_sorted());
        assert_eq!(all[0], Duration::from_millis(20));
        assert_eq!(all[19], Duration::from_millis(200));
        rests.reset();
        assert_eq!(rests.next(), Duration::from_millis(20));
    }

    #[test]
    fn endless_patience_does_not_overflow() {
        assert!(!Deadline::after(Duration::MAX).is_over());
        assert!(Deadline::after(Duration::ZERO).is_over());
    }
}
