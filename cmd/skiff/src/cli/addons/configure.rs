//! `skiff addons configure`.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use skiff_addons::Addon;
use skiff_cluster::{AddonSetting, configure_addon, list_addons};
use skiff_config::AddonWish;
use skiff_report::ExitCode;

use super::{ask::ask, catalog_in_words, disable::unsupported, settings::SettingsArgs, to_its_end};
use crate::{
    context::{Context, print_line},
    failure::Failure,
    ui::table,
};

/// Sets what an addon shall do: by --set, from a file, or by questions on a terminal.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addon.
    #[arg(value_name = "ADDON")]
    name: String,
    #[command(flatten)]
    settings: SettingsArgs,
    /// File of values, YAML or JSON: one key and value each.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only show what can be set, and what is.
    #[arg(long)]
    show: bool,
    /// Take over objects and fields that belong to others.
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let Self { name, settings, file, show, force } = self;
        let catalog = catalog_in_words(context)?;
        let addon = catalog.find(&name).map_err(|error| unsupported(error.into()))?.clone();
        let listed = list_addons(&context.store()?, &catalog, &context.cluster)?;
        let wish = listed.into_iter().find(|it| it.addon.name == name).map(|it| it.wish).unwrap_or_default();
        if addon.values.is_empty() && addon.images.is_empty() {
            context.ui.info(&format!("The '{name}' addon has nothing to configure"));
            return Ok(ExitCode::SUCCESS);
        }
        if show {
            print_line(&shown(&addon, &wish))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut request = settings.into_request(vec![name.clone()], force);
        let nothing = request.settings.is_empty();
        match file {
            Some(path) => {
                // What is on the command line comes last, and counts more.
                let _ = request.settings.values.splice(..0, settings_of(read(&path)?));
            }
            None if nothing && io::stdin().is_terminal() => {
                request.settings.values = settings_of(answers(context, addon, wish).await?).collect();
            }
            None if nothing => {
                return Err(Failure::usage(
                    format!("what shall be set of '{name}'?"),
                    format!(
                        "Use --set KEY=VALUE or -f FILE; `skiff addons configure {name} --show` tells what there is."
                    ),
                ));
            }
            None => {}
        }
        let host = context.host_in_use("skiff addons configure").await?;
        let report = to_its_end(context, &request.names, configure_addon(&host, &context.cluster, &request)).await?;
        context.ui.finish();
        print_line(&if report.stored {
            format!("The '{name}' addon is configured; it takes effect when it is enabled in a cluster that runs")
        } else {
            format!("The '{name}' addon is configured")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks, and lets Ctrl-C end that: who waits for a line of a terminal hears nothing else.
async fn answers(context: &Context, addon: Addon, wish: AddonWish) -> Result<BTreeMap<String, String>, Failure> {
    let asking = tokio::task::spawn_blocking(move || ask(&addon, &wish));
    let stopped = |_| Failure::usage("the questions were not asked to their end; nothing was set", "");
    context.interrupt.unless(async { asking.await.map_err(stopped)? }).await
}

fn settings_of(values: BTreeMap<String, String>) -> impl Iterator<Item = AddonSetting> {
    values.into_iter().map(|(name, value)| AddonSetting { addon: None, name, value })
}

fn shown(addon: &Addon, wish: &AddonWish) -> String {
    let rows = addon.values.iter().map(|value| {
        let now = wish.values.get(&value.name).or(value.default.as_ref()).cloned().unwrap_or_default();
        [value.name.clone(), value.takes(), now, value.default.clone().unwrap_or_default(), value.description.clone()]
    });
    table(["Value", "Takes", "Now", "Default", "Description"], rows).to_string()
}

/// A flat file of keys and values.
fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |id, exit, message: String| Failure::new(id, exit, message, "Write one `key: value` a line.");
    let text = fs::read_to_string(path).map_err(|error| {
        wrong("MK_USAGE", ExitCode::PROGRAM_USAGE, format!("{} cannot be read: {error}", path.display()))
    })?;
    let flat: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(&text)
        .map_err(|error| wrong("MK_CONFIG_LOAD", ExitCode::PROGRAM_CONFIG, format!("{}: {error}", path.display())))?;
    let value = |(key, value): (String, serde_yaml::Value)| match value {
        serde_yaml::Value::Null => Ok((key, String::new())),
        serde_yaml::Value::Bool(value) => Ok((key, value.to_string())),
        serde_yaml::Value::Number(value) => Ok((key, value.to_string())),
        serde_yaml::Value::String(value) => Ok((key, value)),
        _ => {
            let message = format!("{}: {key} is not a text, a number, true or false", path.display());
            Err(wrong("MK_CONFIG_LOAD", ExitCode::PROGRAM_CONFIG, message))
        }
    };
    flat.into_iter().map(value).collect()
}
