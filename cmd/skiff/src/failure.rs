//! The one form every error takes on its way out.

use std::{error::Error, fmt::Write as _};

use skiff_report::{Diagnose, ExitCode, Reason, chain};

/// Why a command failed: what to print and the code to exit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable identifier, e.g. `PROVIDER_DOCKER_NOT_RUNNING`.
    pub(crate) id: &'static str,
    /// One sentence: the error and the causes behind it.
    pub(crate) message: String,
    /// Single problems, where there are several.
    pub(crate) details: Vec<String>,
    /// What to do about it; empty when nothing is known.
    pub(crate) advice: String,
    /// The code to exit with.
    pub(crate) exit: ExitCode,
}

impl Failure {
    pub(crate) fn new(id: &'static str, exit: ExitCode, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { id, message: message.into(), details: Vec::new(), advice: advice.into(), exit }
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new("MK_USAGE", ExitCode::PROGRAM_USAGE, message, advice)
    }

    /// An error with the reason its owner gives for it.
    pub(crate) fn from_error(error: &(dyn Error + 'static), reason: Reason) -> Self {
        let message = chain(error);
        // An error that tells several problems tells one a line.
        let mut lines = message.lines().map(str::to_owned);
        let first = lines.next().unwrap_or_default();
        Self::new(reason.id, reason.exit, first, reason.advice).with_details(lines)
    }

    /// The single problems behind it, one line each.
    pub(crate) fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The line that says what failed.
    pub(crate) fn headline(&self) -> String {
        format!("Exiting due to {}: {}", self.id, self.message)
    }

    /// What follows the headline, each line after a line break.
    pub(crate) fn rest(&self) -> String {
        let mut text = String::new();
        for detail in &self.details {
            let _ = write!(text, "\n  {detail}");
        }
        if !self.advice.is_empty() {
            let _ = write!(text, "\nHint: {}", self.advice);
        }
        text
    }

    /// The form on standard error.
    pub(crate) fn to_text(&self) -> String {
        self.headline() + &self.rest()
    }

    /// Message and details as one text.
    pub(crate) fn full_message(&self) -> String {
        if self.details.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.message, self.details.join("; "))
        }
    }
}

impl<E: Diagnose> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::from_error(&error, error.reason())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;

    use super::*;

    /// A failure for the renderers' snapshots.
    pub(crate) fn docker_is_off() -> Failure {
        Failure::new(
            "PROVIDER_DOCKER_NOT_RUNNING",
            ExitCode::PROVIDER_NOT_RUNNING,
            "docker does not answer on /var/run/docker.sock: connection refused",
            "Start it: `sudo systemctl start docker`.",
        )
    }

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot read /etc/x")]
        Plain(#[source] io::Error),
        #[error("cannot read /etc/x: disk on fire")]
        Repeating(#[source] io::Error),
    }

    impl Diagnose for Outer {
        fn reason(&self) -> Reason {
            Reason::new("HOST_READ", ExitCode::HOST_ERROR, "Look at the disk.")
        }
    }

    #[test]
    fn causes_are_told_once() {
        for error in
            [Outer::Plain(io::Error::other("disk on fire")), Outer::Repeating(io::Error::other("disk on fire"))]
        {
            let failure = Failure::from(error);
            assert_eq!(
                failure.to_text(),
                "Exiting due to HOST_READ: cannot read /etc/x: disk on fire\nHint: Look at the disk."
            );
            assert_eq!(failure.exit, ExitCode(30));
        }
    }

    #[test]
    fn single_problems_are_listed_below_the_headline() {
        let failure = Failure::usage("2 settings cannot be used", "")
            .with_details(["--memory: too little".to_owned(), "--cpus: none".to_owned()]);
        assert_eq!(
            failure.to_text(),
            "Exiting due to MK_USAGE: 2 settings cannot be used\n  --memory: too little\n  --cpus: none"
        );
        assert_eq!(failure.full_message(), "2 settings cannot be used: --memory: too little; --cpus: none");
    }
}
