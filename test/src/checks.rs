//! Several checks of one thing that is costly to make.

use std::thread::{self, Builder};

/// A check with its name.
pub type Check<T> = (&'static str, fn(&T));

/// Runs checks beside each other and tells all that fail.
///
/// # Panics
/// When any of them does.
pub fn check_all<T: Sync>(subject: &T, checks: &[Check<T>]) {
    let failed: Vec<&str> = thread::scope(|scope| {
        let spawn = |(name, check): &Check<T>| {
            let (name, check) = (*name, *check);
            let started = Builder::new().name(name.to_owned()).spawn_scoped(scope, move || check(subject));
            (name, started.expect("a thread"))
        };
        let running: Vec<_> = checks.iter().map(spawn).collect();
        running.into_iter().filter_map(|(name, check)| check.join().is_err().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "failed checks: {}", failed.join(", "));
}
