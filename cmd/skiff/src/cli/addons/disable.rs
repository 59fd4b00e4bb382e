//! `skiff addons disable`.

use std::time::Duration;

use skiff_cluster::{AddonRequest, disable_addons};
use skiff_report::ExitCode;

use super::to_its_end;
use crate::{
    cli::duration::go_duration,
    context::{Context, print_line},
    failure::Failure,
};

/// Disables addons and deletes what they brought into the cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addons.
    #[arg(required = true, value_name = "ADDON")]
    names: Vec<String>,
    /// Even if others require them.
    #[arg(long)]
    force: bool,
    /// How long to wait until everything is gone.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = go_duration)]
    wait_timeout: Duration,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_in_use("skiff addons disable").await?;
        let request = AddonRequest {
            names: self.names,
            force: self.force,
            patience: self.wait_timeout,
            ..AddonRequest::default()
        };
        let disabling = disable_addons(&host, &context.cluster, &request);
        let report = to_its_end(context, &request.names, disabling).await.map_err(unsupported)?;
        context.ui.finish();
        for name in report.changed {
            print_line(&if report.stored {
                format!(
                    "The '{name}' addon is disabled; what is left of it goes when cluster `{}` starts",
                    context.cluster
                )
            } else {
                format!("The '{name}' addon is disabled")
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What minikube calls an addon that it cannot take away because there is none.
pub(super) fn unsupported(failure: Failure) -> Failure {
    match failure.id {
        "MK_ADDON_ENABLE" => Failure { id: "SVC_ADDON_UNSUPPORTED", exit: ExitCode(116), ..failure },
        "MK_ADDON_ENABLE_PAUSED" => Failure { id: "MK_ADDON_DISABLE_PAUSED", ..failure },
        _ => failure,
    }
}
