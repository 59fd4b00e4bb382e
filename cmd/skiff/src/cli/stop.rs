//! `skiff stop`.

use std::sync::Arc;

use skiff_cluster::stop;
use skiff_config::ClusterName;
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
        let mut host = context.host("skiff stop").await?;
        let names: Vec<ClusterName> = if self.all {
            host.store.list()?.iter().filter_map(|entry| entry.name.parse().ok()).collect()
        } else {
            vec![context.cluster.clone()]
        };
        let mut result = Ok(ExitCode::SUCCESS);
        for name in names {
            let journal = Arc::new(context.journal(&name)?);
            host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
            if let Err(error) = stop(&host, &name, self.keep_context_active).await {
                let failure = Failure::from(error);
                journal.failure(&failure);
                result = context.first_failure(result, failure);
            }
        }
        result
    }
}
