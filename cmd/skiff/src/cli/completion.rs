//! `skiff completion`.

use clap_complete::{Shell, generate};
use skiff_report::ExitCode;

use super::command;
use crate::{context::print, failure::Failure, settings::Settings};

/// Prints a completion script for a shell, e.g. `source <(skiff completion bash)`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: Kind,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let shell = match self.shell {
            Kind::Bash => Shell::Bash,
            Kind::Zsh => Shell::Zsh,
            Kind::Fish => Shell::Fish,
            Kind::Powershell => Shell::PowerShell,
        };
        let mut script = Vec::new();
        generate(shell, &mut command(&Settings::default()), "skiff", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
