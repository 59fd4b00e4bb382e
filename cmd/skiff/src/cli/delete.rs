//! `skiff delete`.

use std::{collections::BTreeSet, fs, path::Path};

use skiff_cluster::delete;
use skiff_config::ClusterName;
use skiff_driver::Driver;
use skiff_report::ExitCode;

use super::EventFormat;
use crate::{context::Context, failure::Failure, wiring::SkiffHost};

/// Deletes a cluster with all its data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete every cluster.
    #[arg(long)]
    all: bool,
    /// Delete all that skiff keeps as well: settings, caches, logs.
    #[arg(long)]
    purge: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host("skiff delete").await?;
        let all = if self.all || self.purge { every_cluster(&host).await? } else { BTreeSet::new() };
        if self.purge && !self.all && all.len() > 1 {
            return Err(Failure::usage(
                format!("there are {} clusters, and --purge deletes all of them", all.len()),
                "Say --purge --all if that is what you want.",
            ));
        }
        if self.all || self.purge {
            for name in &all {
                delete(&host, name).await?;
            }
            context.ui.info("Successfully deleted all profiles");
        } else if !delete(&host, &context.cluster).await?.existed {
            context.ui.warn(&format!("there is no cluster \"{}\": nothing to delete", context.cluster));
        }
        if self.purge {
            purge(&context.environment.home)?;
            context.ui.info(&format!("Removed {}", context.environment.home.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// All clusters there are: by their files, and by the labels of their machines.
async fn every_cluster(host: &SkiffHost) -> Result<BTreeSet<ClusterName>, Failure> {
    let machines = host.driver.list(None).await?.into_iter().map(|node| node.cluster);
    let files = host.store.list()?.into_iter().filter_map(|entry| entry.name.parse().ok());
    Ok(machines.chain(files).collect())
}

fn purge(home: &Path) -> Result<(), Failure> {
    fs::remove_dir_all(home).map_err(|error| {
        Failure::new(
            "HOST_PURGE",
            ExitCode::HOST_ERROR,
            format!("cannot remove {}: {error}", home.display()),
            "Remove what is left by hand.",
        )
    })
}
