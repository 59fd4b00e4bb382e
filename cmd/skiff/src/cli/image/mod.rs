//! `skiff image`.

mod list;
mod load;
mod source;

use clap::Subcommand;
pub(crate) use list::ids;
use skiff_cluster::{ClusterError, runner};
use skiff_config::NodeName;
use skiff_report::ExitCode;
use skiff_ssh::SshRunner;

use crate::{context::Context, failure::Failure, wiring::SkiffHost};

/// Loads and lists the images in a cluster.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Load(load::Args),
    Ls(list::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Load(args) => args.run(context).await,
            Action::Ls(args) => args.run(context).await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every node of the context's cluster, by name.
fn nodes(context: &Context, host: &SkiffHost) -> Result<Vec<NodeName>, Failure> {
    let file = host.store.load(&context.cluster)?;
    let file = file.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
    Ok(file.status.nodes.into_iter().map(|node| node.name).collect())
}

async fn connect(context: &Context, host: &SkiffHost, node: &NodeName) -> Result<SshRunner, Failure> {
    Ok(runner(host, &context.cluster, Some(node.as_str())).await?)
}
