//! A command and what came of it.

use std::{fmt, time::Duration};

/// What a command reads from its standard input.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: end of file at once.
    #[default]
    Empty,
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Stdin {
    /// Bytes may hold keys, so only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

/// A program with its arguments, run without a shell in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Stdin,
    /// How long it may take. Every remote wait has an end.
    pub timeout: Duration,
}

impl Command {
    /// The time a command gets when nobody says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// A command of one program and its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), stdin: Stdin::Empty, timeout: Self::DEFAULT_TIMEOUT }
    }

    /// A shell script. Values from outside must be passed through [`quote`](Self::quote).
    #[must_use]
    pub fn sh(script: &str) -> Self {
        Self::new(["/bin/sh", "-ec", script])
    }

    /// Bytes for its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// Another time-out.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command as one line that a POSIX shell splits back into the same arguments.
    #[must_use]
    pub fn to_shell(&self) -> String {
        self.argv.iter().map(|arg| Self::quote(arg)).collect::<Vec<_>>().join(" ")
    }

    /// One argument quoted for a POSIX shell.
    #[must_use]
    pub fn quote(arg: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            arg.to_owned()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    }
}

/// What a finished command left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal number if a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_keeps_plain_words_and_protects_the_rest() {
        assert_eq!(Command::quote("--flag=a/b:c"), "--flag=a/b:c");
        assert_eq!(Command::quote(""), "''");
        assert_eq!(Command::quote("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(Command::new(["echo", "a b"]).to_shell(), "echo 'a b'");
    }

    #[test]
    fn debug_output_hides_standard_input() {
        let text = format!("{:?}", Command::new(["cat"]).stdin("secret"));
        assert!(!text.contains("secret"), "{text}");
    }
}
