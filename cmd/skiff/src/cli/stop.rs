//! `skiff stop`.

use std::sync::Arc;

use skiff_cluster::stop;
use skiff_config::ClusterName;
use skiff_drivers::AUTO;
use skiff_report::{ExitCode, Reporter};

use super::EventFormat;
use crate::{context::Context, failure::Failure};

/// Stops a cluster. Its data is kept; `start` brings it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop every cluster.
    #[arg(long)]
    all: bool,
    /// Leave kubectl's current context alone.
    #[arg(long)]
    keep_context_active: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let reporter = Arc::new(context.journal()?) as Arc<dyn Reporter>;
        let host = context.host_with("skiff stop", AUTO, reporter).await?;
        let names: Vec<ClusterName> = if self.all {
            host.store.list()?.iter().filter_map(|entry| entry.name.parse().ok()).collect()
        } else {
            vec![context.cluster.clone()]
        };
        let mut result = Ok(ExitCode::SUCCESS);
        for name in names {
            if let Err(error) = stop(&host, &name, self.keep_context_active).await {
                result = context.first_failure(result, error.into());
            }
        }
        result
    }
}
