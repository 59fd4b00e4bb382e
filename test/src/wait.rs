//! Waiting for what takes its time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks again and again until the answer is `Ok`, at most for a generous while.
///
/// # Panics
/// With the last refusal when the while is over.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(600);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(refusal) if Instant::now() > end => panic!("{what} did not happen: {refusal}"),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
