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

/// What lists the clusters in every shell but PowerShell: faster than asking skiff.
const CLUSTERS: &str = r#"ls "${SKIFF_HOME:-$HOME/.skiff}/profiles" 2>/dev/null"#;

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
        print(&with_clusters(&String::from_utf8_lossy(&script), self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Lets `--profile` complete the names of clusters; clap only knows that it takes some text.
fn with_clusters(script: &str, shell: Kind) -> String {
    match shell {
        Kind::Bash => {
            let files = "\n                    COMPREPLY=($(compgen -f \"${cur}\"))";
            let names = format!("\n                    COMPREPLY=($(compgen -W \"$({CLUSTERS})\" -- \"${{cur}}\"))");
            ["--profile)", "-p)"].iter().fold(script.to_owned(), |script, flag| {
                script.replace(&format!("{flag}{files}"), &format!("{flag}{names}"))
            })
        }
        Kind::Zsh => {
            let names = format!("[Name of the cluster]:NAME:{{compadd -- $({CLUSTERS})}}");
            script.replace("[Name of the cluster]:NAME:_default", &names)
        }
        Kind::Fish => {
            let flag = "-s p -l profile -d 'Name of the cluster' -r";
            // fish has no default values for variables.
            let names = "(sh -c 'ls \"${SKIFF_HOME:-$HOME/.skiff}/profiles\" 2>/dev/null')";
            script.replace(flag, &format!("{flag} -f -a \"{}\"", names.replace('"', "\\\"").replace('$', "\\$")))
        }
        Kind::Powershell => script.to_owned(),
    }
}
