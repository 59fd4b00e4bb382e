//! Clap's complaints about a command line, in the form of every other failure.

use clap::error::ErrorKind;

use crate::failure::Failure;

impl Failure {
    /// The first paragraph says what is wrong; tips become advice; the usage line is left to the
    /// `--help` of the command.
    pub(crate) fn from_clap(error: &clap::Error, command: &str) -> Self {
        let text = error.render().to_string();
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = match error.kind() {
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                "this command needs a subcommand".to_owned()
            }
            _ => {
                let paragraph = text.split("\n\n").next().unwrap_or_default();
                let joined: Vec<&str> = paragraph.lines().map(str::trim).collect();
                joined.join(" ").trim_start_matches("error: ").to_owned()
            }
        };
        let mut advice: Vec<String> = lines().filter_map(|line| line.strip_prefix("tip: ")).map(sentence).collect();
        advice.push(format!("`{command} --help` shows what can be given."));
        Self::usage(message, advice.join(" "))
    }
}

fn sentence(tip: &str) -> String {
    let mut chars = tip.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}
