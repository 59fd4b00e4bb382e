//! Many tests, several at the same time, in an order that is chosen.
//!
//! The usual harness runs tests by name and as many at once as there are processors. These wait
//! for others most of the time, some take ten times as long as most, and some need all that the host has.

use std::{
    fs,
    io::{Write as _, stderr},
    num::NonZero,
    panic,
    process::ExitCode,
    thread::{self, Builder},
    time::Instant,
};

use libtest_mimic::{Arguments, Conclusion, Failed, Trial, run};

/// How many tests a processor carries, for they wait for more than they compute.
const A_PROCESSOR: usize = 2;
/// How much memory a test may need, in KiB: that of three nodes at work.
const MEMORY: usize = 3 << 20;

/// A test with its name.
pub type Test = (&'static str, fn());

/// Tests by their paths, named as they are.
#[macro_export]
macro_rules! tests {
    ($($test:path),+ $(,)?) => { [$((stringify!($test), $test as fn())),+] };
}

/// Runs the tests that need the host to themselves, one after another, and then the others in their order, as many
/// at the same time as this machine carries unless `--test-threads` says another number. It takes the arguments
/// that other tests take.
#[must_use]
pub fn run_side_by_side<const A: usize, const B: usize>(alone: [Test; A], beside: [Test; B]) -> ExitCode {
    let arguments = Arguments::from_args();
    let threads = arguments.test_threads.unwrap_or_else(carries);
    let rounds = [(1, alone.to_vec()), (threads, beside.to_vec())].map(|(threads, tests)| {
        let arguments = Arguments { test_threads: Some(threads), ..arguments.clone() };
        let trials = tests.into_iter().map(|(name, test)| Trial::test(name, move || in_a_thread(name, test)));
        run(&arguments, trials.collect())
    });
    // What failed alone says so, and the others ran all the same.
    rounds.iter().find(|round| round.has_failed()).map_or(ExitCode::SUCCESS, Conclusion::exit_code)
}

/// Runs a test in a thread with its name, which is what a panic begins with.
fn in_a_thread(name: &'static str, test: fn()) -> Result<(), Failed> {
    let begun = Instant::now();
    let running = Builder::new().name(name.to_owned()).spawn(test)?;
    let ended = running.join();
    // Who reads this may put the tests into a better order.
    let _ = writeln!(stderr(), "{name} took {} s", begun.elapsed().as_secs());
    ended.or_else(|panic| panic::resume_unwind(panic))
}

/// How many tests this machine carries at the same time.
fn carries() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: Option<usize> = memory.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok());
    (processors * A_PROCESSOR).min(memory.map_or(1, |kilobytes| kilobytes / MEMORY)).max(1)
}
