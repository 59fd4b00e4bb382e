//! `skiff node delete`.

use std::time::Duration;

use skiff_cluster::{Leave, delete_node};
use skiff_report::ExitCode;

use super::{recorded_host, short};
use crate::{cli::duration::go_duration, context::Context, failure::Failure};

/// Deletes a node with its data, after its pods have gone elsewhere.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node, such as m02.
    #[arg(value_name = "NAME")]
    node: String,
    /// How long its pods may take to go elsewhere; disruption budgets are respected.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = go_duration)]
    drain_timeout: Duration,
    /// Ask no disruption budget, and delete the node whether its pods can go elsewhere or not.
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (host, journal) = recorded_host(context, "skiff node delete").await?;
        let leave = Leave { patience: self.drain_timeout, force: self.force };
        let deleted = delete_node(&host, &context.cluster, &self.node, leave).await.map_err(Failure::from);
        let deleted = deleted.inspect_err(|failure| journal.failure(failure))?;
        let node = short(&context.cluster, deleted.as_str());
        context.ui.info(&format!("Node {node} was successfully deleted."));
        context.ui.finish();
        Ok(ExitCode::SUCCESS)
    }
}
