//! What a check found.

use skiff_report::ExitCode;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Good,
    /// Something may go wrong, or will soon.
    Warning,
    /// Clusters cannot start. The code is what a start would end with.
    Blocking(ExitCode),
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Blocking(_) => "blocking",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, e.g. `inotify-instances`.
    pub name: String,
    /// How bad it is.
    pub level: Level,
    /// What there is, as a person would say it.
    pub message: String,
    /// The command, or else the deed, that repairs it; empty where nothing is to be done.
    pub fix: String,
    /// How many more nodes fit, where that can be told.
    pub room: Option<u64>,
}

impl Finding {
    pub(crate) fn good(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Good, message: message.into(), fix: String::new(), room: None }
    }

    pub(crate) fn warning(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warning, fix: fix.into(), ..Self::good(name, message) }
    }

    pub(crate) fn blocking(
        name: impl Into<String>,
        exit: ExitCode,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Blocking(exit), fix: fix.into(), ..Self::good(name, message) }
    }

    /// A finding about something of which every node takes a share: nothing left blocks, and little
    /// left is worth a warning.
    pub(crate) fn share(
        name: &str,
        free: u64,
        need: u64,
        exit: ExitCode,
        message: String,
        fix: impl Into<String>,
    ) -> Self {
        let room = free / need;
        let message = format!("{message}: room for {room} more node{}", if room == 1 { "" } else { "s" });
        let finding = match room {
            0 => Self::blocking(name, exit, message, fix),
            1 | 2 => Self::warning(name, message, fix),
            _ => Self::good(name, message),
        };
        Self { room: Some(room), ..finding }
    }
}

/// How many more nodes the host has room for: what is shortest decides.
#[must_use]
pub fn room(findings: &[Finding]) -> Option<u64> {
    findings.iter().filter_map(|finding| finding.room).min()
}
