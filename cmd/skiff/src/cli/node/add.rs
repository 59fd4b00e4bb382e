//! `skiff node add`.

use std::{sync::Arc, time::Duration};

use skiff_cluster::{NewNode, add_node};
use skiff_config::{Label, Taint};
use skiff_report::{ExitCode, Reporter};

use super::{options, recorded_host, short};
use crate::{
    cli::{duration::go_duration, start::SourceArgs},
    context::{Context, print_line},
    failure::Failure,
    ui::Timings,
};

/// Adds a node to a cluster that runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Make it a control plane.
    #[arg(long)]
    control_plane: bool,
    /// Let it run pods, which every node does.
    #[arg(long = "worker")]
    _worker: bool,
    /// Labels of its own, such as disk=fast.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<Label>,
    /// Taints, such as gpu=yes:NoSchedule.
    #[arg(long, value_name = "TAINTS", value_delimiter = ',')]
    taints: Vec<Taint>,
    /// How long to wait until it is ready; three times as long where machines are emulated.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration)]
    wait_timeout: Duration,
    /// Leave a node that does not become ready as it is, to look at it.
    #[arg(long)]
    keep: bool,
    /// What minikube calls the usual: a node that does not become ready is deleted.
    #[arg(long, hide = true, conflicts_with = "keep")]
    delete_on_failure: bool,
    /// Show where the time went.
    #[arg(long)]
    timings: bool,
    #[command(flatten)]
    source: SourceArgs,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (mut host, journal) = recorded_host(context, "skiff node add").await?;
        let clock = Arc::new(Timings::new(Arc::clone(&journal) as Arc<dyn Reporter>));
        host.reporter = Arc::clone(&clock) as Arc<dyn Reporter>;
        let images = self.source.images(context, &host.driver)?;
        let new = NewNode {
            control_plane: self.control_plane,
            labels: self.labels.into_iter().map(|label| (label.name, label.value)).collect(),
            taints: self.taints.iter().map(ToString::to_string).collect(),
        };
        let options = options(self.wait_timeout, self.keep);
        let added = add_node(&host, &images, &context.cluster, &new, &options).await.map_err(Failure::from);
        let added = added.inspect_err(|failure| journal.failure(failure))?;
        let node = short(&context.cluster, added.node.as_str());
        context.ui.info(&format!("Successfully added {node} to {}!", context.cluster));
        context.ui.finish();
        if let Some(table) = clock.table().filter(|_| self.timings) {
            print_line(&table)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
