//! `skiff addons list`.

use std::collections::BTreeMap;

use serde::Serialize;
use skiff_cluster::{AddonListing, list_addons};
use skiff_report::ExitCode;

use super::catalog_in_words;
use crate::{
    cli::output::json,
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// Lists all addons, and whether they are on.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub(super) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "list")]
    output: Format,
    /// Show where to read on.
    #[arg(short, long)]
    docs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    // For people.
    List,
    // For programs.
    Json,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let addons = list_addons(&context.store()?, &catalog_in_words(context)?, &context.cluster)?;
        match self.output {
            Format::Json => print(&json(&to_json(&addons, context.cluster.as_str()))?)?,
            Format::List => print_line(&to_table(&addons, context.cluster.as_str(), self.docs))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn status(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

fn to_table(addons: &[AddonListing], profile: &str, docs: bool) -> String {
    let last = |listing: &AddonListing| {
        let addon = &listing.addon;
        if docs { addon.docs.clone() } else { addon.description.clone() }
    };
    let title = if docs { "Docs" } else { "Description" };
    // Without a cluster nothing is on or off.
    if addons.iter().all(|listing| listing.enabled.is_none()) {
        let rows = addons.iter().map(|it| [it.addon.name.clone(), it.addon.maintainer.clone(), last(it)]);
        return table(["Addon Name", "Maintainer", title], rows).to_string();
    }
    let rows = addons.iter().map(|it| {
        let status = status(it.enabled == Some(true)).to_owned();
        [it.addon.name.clone(), profile.to_owned(), status, it.addon.maintainer.clone(), last(it)]
    });
    table(["Addon Name", "Profile", "Status", "Maintainer", title], rows).to_string()
}

fn to_json<'a>(addons: &'a [AddonListing], profile: &'a str) -> BTreeMap<&'a str, Entry<'a>> {
    let entry = |listing: &'a AddonListing| {
        let addon = &listing.addon;
        let entry = Entry {
            status: listing.enabled.map(status),
            profile: listing.enabled.map(|_| profile),
            maintainer: &addon.maintainer,
            description: &addon.description,
            docs: &addon.docs,
            default: addon.default,
        };
        (addon.name.as_str(), entry)
    };
    addons.iter().map(entry).collect()
}

/// One addon, in minikube's shape and with some more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    maintainer: &'a str,
    description: &'a str,
    docs: &'a str,
    default: bool,
}
