//! All that skiff's core may tell a person: events, and the reasons behind errors.
//!
//! The core never prints. It hands [`Event`] values to a [`Reporter`]; `cmd/skiff` renders them
//! for a terminal, as plain lines or as JSON. Errors answer [`Diagnose`], so that the command
//! line can print an id, a hint and the right exit code without reading error text.

mod chain;
mod event;
mod exit_code;
mod reason;
mod reporter;

pub use chain::chain;
pub use event::{Event, Step};
pub use exit_code::ExitCode;
pub use reason::{Diagnose, Reason};
pub use reporter::{Recorder, Reporter, Silent};
