//! The role `storage`: volumes in a folder of the node, for StorageClasses of `storage.skiff.dev/local`.
//!
//! One instance runs on each node and serves the claims whose pods were scheduled there. `plan` decides
//! and `volume` describes, both purely; `folders` touches the disk; `provision` ties them to the API in
//! steps that may be cut off anywhere and run again; `work` feeds it from watches.

pub(crate) mod folders;
mod metrics;
mod plan;
mod provision;
#[cfg(test)]
mod tests;
mod volume;
mod work;

use std::{path::PathBuf, sync::Arc};

use tokio::task::JoinSet;

use self::{folders::Folders, metrics::StorageMetrics, provision::Provisioner};
use crate::{
    Error,
    api::{self, Access},
    http,
    listen::Listen,
    runtime,
};

/// The provisioner's name, as StorageClasses give it.
pub(crate) const PROVISIONER: &str = "storage.skiff.dev/local";

/// The port of the health server.
const HEALTH_PORT: u16 = 10055;

/// Provision node-local volumes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StorageArgs {
    /// The name of the node that this instance serves.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,
    /// The folder on the node that holds the volumes.
    #[arg(long, value_name = "PATH", default_value = "/var/lib/skiff/storage")]
    root: PathBuf,
    /// Where to serve /health, /ready and /metrics. The port is 10055 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    #[command(flatten)]
    access: Access,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: StorageArgs) -> Result<(), Error> {
    runtime::block_on(serve(args))
}

async fn serve(args: StorageArgs) -> Result<(), Error> {
    let folders = Folders::open(&args.root).map_err(|source| Error::StorageRoot { path: args.root.clone(), source })?;
    let metrics = Arc::new(StorageMetrics::default());
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(http::serve(health, Arc::clone(&metrics) as Arc<dyn http::Probe>));
    let work = async {
        let client = api::connect(&args.access).await?;
        let provisioner = Provisioner::new(client.clone(), args.node.clone(), folders, Arc::clone(&metrics));
        tasks.spawn(work::run(client, provisioner, metrics));
        // Both tasks are there for ever; the first to end has failed.
        tasks.join_next().await;
        Err(Error::TaskEnded)
    };
    runtime::until_told_to_end(work).await
}
