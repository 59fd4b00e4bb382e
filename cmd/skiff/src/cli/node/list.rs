//! `skiff node list`.

use skiff_cluster::ClusterError;
use skiff_report::ExitCode;

use crate::{
    context::{Context, print_line},
    failure::Failure,
};

/// Lists the nodes of a cluster with their addresses.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode, Failure> {
        let cluster = context.store()?.load(&context.cluster)?;
        let cluster = cluster.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
        for node in cluster.status.nodes {
            print_line(&format!("{}\t{}", node.name, node.address))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
