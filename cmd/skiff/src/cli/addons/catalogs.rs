//! `skiff addons catalog`.

use clap::Subcommand;
use serde::Serialize;
use skiff_addons::{Source, Sources};
use skiff_report::ExitCode;

use crate::{
    cli::output::{ListFormat, json},
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// Adds catalogs of addons beside the one that is built in.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Adds a catalog: a folder of addons, or the URL of a tar archive of one.
    Add {
        /// A name for it.
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// The folder or the URL.
        #[arg(value_name = "LOCATION")]
        location: String,
        /// What must come from there; a URL needs it.
        #[arg(long, value_name = "HEX", value_parser = sha256)]
        sha256: Option<String>,
    },
    /// Lists the catalogs that were added.
    #[command(visible_alias = "ls")]
    List {
        /// Format of the output.
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: ListFormat,
    },
    /// Removes a catalog; addons of it that are enabled stay until they are disabled.
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    location: &'a str,
    sha256: Option<&'a str>,
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (1..=40).contains(&text.len()) && text.chars().all(fits) && !text.starts_with('-');
    if good { Ok(text.to_owned()) } else { Err("use lower case letters, digits and dashes".to_owned()) }
}

fn sha256(text: &str) -> Result<String, String> {
    let good = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    if good { Ok(text.to_lowercase()) } else { Err("a sha256 has 64 hexadecimal digits".to_owned()) }
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let sources = sources(context)?;
        match self.action {
            Action::Add { name, location, sha256 } => {
                let catalog = sources.add(Source { name: name.clone(), location, sha256 }).await?;
                let addons: Vec<&str> = catalog.addons().map(|addon| addon.name.as_str()).collect();
                print_line(&format!("Catalog '{name}' brings {}", addons.join(", ")))?;
            }
            Action::List { output } => {
                let list = sources.list()?;
                let rows = list.iter().map(|source| Row {
                    name: &source.name,
                    location: &source.location,
                    sha256: source.sha256.as_deref(),
                });
                if output == ListFormat::Json {
                    print(&json(&rows.collect::<Vec<_>>())?)?;
                } else {
                    let cells = rows.map(|row| [row.name, row.location, row.sha256.unwrap_or("-")].map(str::to_owned));
                    print_line(&table(["Name", "Location", "SHA-256"], cells).to_string())?;
                }
            }
            Action::Remove { name } => {
                if !sources.remove(&name)? {
                    let known = "`skiff addons catalog list` shows all.";
                    return Err(Failure::usage(format!("there is no catalog `{name}`"), known));
                }
                print_line(&format!("Catalog '{name}' is removed"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The catalogs that the user added.
pub(super) fn sources(context: &Context) -> Result<Sources, Failure> {
    Ok(Sources::new(context.store()?.home().join("catalogs")))
}
