//! Why something failed, in a form the command line can act on.

use std::borrow::Cow;

use crate::ExitCode;

/// What a failed command tells besides its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable identifier in capitals, e.g. `PROVIDER_DOCKER_NOT_RUNNING`; minikube's where it has one.
    pub id: &'static str,
    /// The code to exit with.
    pub exit: ExitCode,
    /// What the user can do about it, as full sentences; empty when nothing is known.
    pub advice: Cow<'static, str>,
}

impl Reason {
    /// A reason with advice.
    #[must_use]
    pub fn new(id: &'static str, exit: ExitCode, advice: impl Into<Cow<'static, str>>) -> Self {
        Self { id, exit, advice: advice.into() }
    }
}

/// Implemented by every error of the core. The crate that knows what went wrong says what it means.
pub trait Diagnose: std::error::Error + Send + Sync + 'static {
    /// The reason behind this error.
    fn reason(&self) -> Reason;
}

/// Lets fakes use an error type that cannot happen.
impl Diagnose for std::convert::Infallible {
    fn reason(&self) -> Reason {
        match *self {}
    }
}
