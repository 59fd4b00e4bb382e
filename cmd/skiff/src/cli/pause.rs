//! `skiff pause` and `skiff unpause`.

use std::sync::Arc;

use skiff_cluster::{PauseScope, pause, unpause};
use skiff_report::{ExitCode, Reporter};

use super::EventFormat;
use crate::{context::Context, failure::Failure};

/// Freezes a cluster: it keeps its memory and uses no processor. `unpause` or `start` lets it go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

/// Lets a paused cluster go on.
#[derive(Debug, clap::Args)]
pub(crate) struct UnpauseArgs {
    #[command(flatten)]
    what: What,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

/// How much of the cluster.
#[derive(Debug, clap::Args)]
struct What {
    /// Only the kubelet and the containers of these namespaces, such as kube-system,default; the rest goes on.
    #[arg(short, long, value_name = "NAMESPACES", value_delimiter = ',', conflicts_with = "all_namespaces")]
    namespaces: Option<Vec<String>>,
    /// Everything: that is the default, and minikube has a flag for it.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl From<What> for PauseScope {
    fn from(what: What) -> Self {
        what.namespaces.map_or(Self::Machines, Self::Namespaces)
    }
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let mut host = context.host_of_cluster("skiff pause").await?;
        let journal = Arc::new(context.journal(&context.cluster)?);
        host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
        let result = pause(&host, &context.cluster, self.what.into()).await.map_err(Failure::from);
        result.inspect_err(|failure| journal.failure(failure))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl UnpauseArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let mut host = context.host_of_cluster("skiff unpause").await?;
        let journal = Arc::new(context.journal(&context.cluster)?);
        host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
        let result = unpause(&host, &context.cluster, self.what.into()).await.map_err(Failure::from);
        result.inspect_err(|failure| journal.failure(failure))?;
        Ok(ExitCode::SUCCESS)
    }
}
