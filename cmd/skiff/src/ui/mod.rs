//! What a person, or the program in front of the screen, gets to see.
//!
//! Three renderers of the core's events: [`Terminal`] with a live spinner, [`Plain`] with one line
//! a step, [`Json`] with one CloudEvent a line. Steps and notes go to standard output, warnings and
//! failures to standard error.

mod json;
mod plain;
mod stream;
mod table;
mod terminal;
mod timings;

use std::sync::Arc;

use skiff_report::Reporter;

pub(crate) use self::{
    json::Json,
    plain::Plain,
    stream::Stream,
    table::{megabytes, table},
    terminal::{Terminal, seconds},
    timings::Timings,
};
use crate::failure::Failure;

/// A renderer: takes events while a command runs and ends it well.
pub(crate) trait Ui: Reporter {
    /// Shows why the command failed.
    fn failure(&self, failure: &Failure);

    /// Leaves nothing unfinished on the screen. May be called more than once.
    fn finish(&self);
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Live, for a person in front of a terminal.
    Terminal,
    /// Lines without control codes, for logs and pipes.
    Plain,
    /// CloudEvents, for programs.
    Json,
}

/// The renderer of a mode, on this process's streams.
pub(crate) fn renderer(mode: Mode) -> Arc<dyn Ui> {
    match mode {
        Mode::Terminal => Arc::new(Terminal::new()),
        Mode::Plain => Arc::new(Plain::new(Stream::stdout(), Stream::stderr())),
        Mode::Json => Arc::new(Json::new(Stream::stdout())),
    }
}
