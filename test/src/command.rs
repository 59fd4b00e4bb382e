//! Running programs in tests.

use std::{
    env, fmt,
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    thread,
    time::Instant,
};

use serde_json::Value;

/// A program that ended.
pub struct Finished {
    line: String,
    /// Its exit code; 128 + the signal's number if a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let begun = Instant::now();
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        trace(&line, begun);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self::new(line, output.status, text(&output.stdout), text(&output.stderr))
    }

    pub(crate) fn new(line: String, status: ExitStatus, stdout: String, stderr: String) -> Self {
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Self { line, code, stdout, stderr }
    }

    /// Asserts that it wrote something, to either stream.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no `{text}` in {self:?}");
        self
    }

    /// Asserts that it succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Asserts its exit code.
    ///
    /// # Panics
    /// When it has another.
    #[must_use]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Standard output without surrounding white space.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Tells how long a program took if `SKIFF_TEST_TRACE` is set: for who wonders what a test waits for.
fn trace(line: &str, begun: Instant) {
    if env::var_os("SKIFF_TEST_TRACE").is_some() {
        // The environment comes first, with long paths.
        let words = line.split(" \"").skip_while(|word| word.contains('=')).collect::<Vec<_>>().join(" \"");
        let _ = writeln!(
            io::stderr(),
            "{}: {:.1} s {words}",
            thread::current().name().unwrap_or_default(),
            begun.elapsed().as_secs_f32()
        );
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, code, stdout, stderr } = self;
        write!(f, "{line}\nended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
