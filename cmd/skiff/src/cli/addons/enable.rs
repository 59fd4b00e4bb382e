//! `skiff addons enable`.

use std::time::Instant;

use skiff_cluster::{AddonRequest, enable_addons};
use skiff_report::ExitCode;

use super::{catalog_in_words, settings::SettingsArgs, to_its_end};
use crate::{
    context::{Context, print_line},
    failure::Failure,
    ui::seconds,
};

/// Enables addons, and those they require; ends when they work.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addons.
    #[arg(required = true, value_name = "ADDON")]
    names: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Take over objects and fields that belong to others.
    #[arg(long)]
    force: bool,
    /// Make the pods of an addon that is enabled already anew.
    #[arg(long)]
    refresh: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let begin = Instant::now();
        let _ = catalog_in_words(context)?;
        let host = context.host_in_use("skiff addons enable").await?;
        let request = AddonRequest { refresh: self.refresh, ..self.settings.into_request(self.names, self.force) };
        let report = to_its_end(context, &request.names, enable_addons(&host, &context.cluster, &request)).await?;
        context.ui.finish();
        for name in report.changed {
            print_line(&if report.stored {
                format!("The '{name}' addon will be enabled when cluster `{}` starts", context.cluster)
            } else {
                format!("The '{name}' addon is enabled ({})", seconds(begin.elapsed()))
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
