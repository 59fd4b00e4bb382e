//! `-o`: the formats commands answer in.

use serde::Serialize;
use skiff_report::ExitCode;

use crate::failure::Failure;

/// `-o` of commands that report events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EventFormat {
    // Lines for people.
    #[default]
    Text,
    // One CloudEvent a line.
    Json,
}

/// `-o` of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    // For people.
    Table,
    // For programs.
    Json,
}

/// `-o` of commands that answer with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DataFormat {
    // JSON.
    Json,
    // YAML.
    Yaml,
}

impl DataFormat {
    /// A value in this format, with its last line break.
    pub(crate) fn render(self, value: &impl Serialize) -> Result<String, Failure> {
        match self {
            Self::Json => json(value),
            Self::Yaml => serde_yaml::to_string(value).map_err(|error| unwritable(&error)),
        }
    }
}

/// A value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| text + "\n").map_err(|error| unwritable(&error))
}

fn unwritable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new("MK_OUTPUT", ExitCode::PROGRAM_ERROR, format!("the answer cannot be written: {error}"), "")
}
