//! `skiff update-context`.

use skiff_cluster::update_context;
use skiff_kubeapi::kubeconfig;
use skiff_report::ExitCode;

use crate::{
    context::{Context, print_line},
    failure::Failure,
};

/// Repairs kubectl's entry for a cluster and makes it the current one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_of_cluster("skiff update-context").await?;
        let name = &context.cluster;
        let changed = update_context(&host, name).await?;
        let server = kubeconfig::endpoint_of(&host.kubeconfig, name.as_str())?.unwrap_or_default();
        print_line(&if changed {
            format!("\"{name}\" context has been updated to point to {}", server.trim_start_matches("https://"))
        } else {
            format!("No changes required for the \"{name}\" context")
        })?;
        print_line(&format!("Current context is \"{name}\""))?;
        Ok(ExitCode::SUCCESS)
    }
}
