//! Patience: when to stop trying, and how long to rest between two tries.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};

use crate::Trouble;

/// The moment when patience is over. It moves on while there is progress.
#[derive(Debug)]
pub(crate) struct Deadline {
    begin: Instant,
    patience: Duration,
    /// Milliseconds after the beginning.
    end: AtomicU64,
}

/// Longer than anybody waits, and still within the clock's range.
const YEAR: Duration = Duration::from_hours(24 * 365);
/// How many times as long as it was meant to a wait may take at most.
const MOST: u32 = 3;
/// Which part of the patience is left after progress at least.
const AFTER_PROGRESS: u32 = 3;

/// When a wait is over that saw progress `now`, and would have been over at `end`: all counted from its
/// beginning.
fn stretched(patience: Duration, end: Duration, now: Duration) -> Duration {
    let most = patience.saturating_mul(MOST);
    end.max(now.saturating_add(patience / AFTER_PROGRESS).min(most))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Deadline {
    /// `patience` from now.
    pub(crate) fn after(patience: Duration) -> Self {
        let patience = patience.min(YEAR);
        Self { begin: Instant::now(), patience, end: AtomicU64::new(millis(patience)) }
    }

    /// The whole patience, with what progress added to it.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.end.load(Ordering::Relaxed))
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Duration {
        self.patience().saturating_sub(self.begin.elapsed())
    }

    /// Notes that something got further.
    pub(crate) fn progress(&self) {
        let end = stretched(self.patience, self.patience(), self.begin.elapsed());
        self.end.fetch_max(millis(end), Ordering::Relaxed);
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
        let end = Instant::now() + self.left().min(limit);
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
    fn progress_stretches_a_deadline_up_to_an_end() {
        let seconds = Duration::from_secs;
        let (patience, end) = (seconds(90), seconds(90));
        assert_eq!(stretched(patience, end, seconds(10)), end, "early progress changes nothing");
        assert_eq!(stretched(patience, end, seconds(80)), seconds(110));
        assert_eq!(stretched(patience, seconds(110), seconds(79)), seconds(110), "never back");
        assert_eq!(stretched(patience, seconds(265), seconds(260)), seconds(270), "three times at most");
        assert_eq!(stretched(Duration::ZERO, Duration::ZERO, seconds(1)), Duration::ZERO);
    }

    #[test]
    fn endless_patience_does_not_overflow() {
        assert!(!Deadline::after(Duration::MAX).is_over());
        assert!(Deadline::after(Duration::ZERO).is_over());
    }
}
