//! `skiff node start` and `skiff node stop`.

use std::time::Duration;

use skiff_cluster::{start_node, stop_node};
use skiff_report::ExitCode;

use super::{options, recorded_host, short};
use crate::{
    cli::{duration::go_duration, start::SourceArgs},
    context::Context,
    failure::Failure,
};

/// Starts a node that is off.
#[derive(Debug, clap::Args)]
pub(super) struct StartArgs {
    /// The node, such as m02.
    #[arg(value_name = "NAME")]
    node: String,
    /// How long to wait until it is ready; three times as long where machines are emulated.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration)]
    wait_timeout: Duration,
    #[command(flatten)]
    source: SourceArgs,
}

/// Stops a node. Its data is kept.
#[derive(Debug, clap::Args)]
pub(super) struct StopArgs {
    /// The node, such as m02.
    #[arg(value_name = "NAME")]
    node: String,
}

impl StartArgs {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (host, journal) = recorded_host(context, "skiff node start").await?;
        let images = self.source.images(context, &host.driver)?;
        let options = options(self.wait_timeout, true);
        let started = start_node(&host, &images, &context.cluster, &self.node, &options).await.map_err(Failure::from);
        let started = started.inspect_err(|failure| journal.failure(failure))?;
        let node = short(&context.cluster, started.node.as_str());
        context.ui.info(&if started.changed {
            format!("Successfully started node {node}!")
        } else {
            format!("{node} is already running")
        });
        context.ui.finish();
        Ok(ExitCode::SUCCESS)
    }
}

impl StopArgs {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (host, journal) = recorded_host(context, "skiff node stop").await?;
        let stopped = stop_node(&host, &context.cluster, &self.node).await.map_err(Failure::from);
        let stopped = stopped.inspect_err(|failure| journal.failure(failure))?;
        let node = short(&context.cluster, stopped.node.as_str());
        context.ui.info(&format!("Successfully stopped node {node}"));
        context.ui.finish();
        Ok(ExitCode::SUCCESS)
    }
}
