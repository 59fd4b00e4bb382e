//! `skiff delete`.

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc};

use skiff_cluster::delete;
use skiff_config::ClusterName;
use skiff_drivers::clusters;
use skiff_report::{ExitCode, Reporter};

use super::EventFormat;
use crate::{context::Context, failure::Failure};

/// Deletes a cluster with all its data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete every cluster.
    #[arg(long)]
    all: bool,
    /// Delete all that skiff keeps in its home as well: settings, caches, logs.
    #[arg(long)]
    purge: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let all = if self.all || self.purge { every_cluster(context).await? } else { BTreeSet::new() };
        if self.purge && !self.all && all.len() > 1 {
            return Err(Failure::usage(
                format!("there are {} clusters, and --purge deletes all of them", all.len()),
                "Say --purge --all if that is what you want.",
            ));
        }
        let mut result = Ok(ExitCode::SUCCESS);
        if self.all || self.purge {
            for name in &all {
                if let Err(failure) = delete_one(context, name).await {
                    result = context.first_failure(result, failure);
                }
            }
            result.clone()?;
            context.ui.info("Successfully deleted all profiles");
        } else if !delete_one(context, &context.cluster).await? {
            context.ui.warn(&format!("there is no cluster \"{}\": nothing to delete", context.cluster));
        }
        if self.purge {
            purge(&context.environment.home)?;
            context.ui.info(&format!("Emptied {}", context.environment.home.display()));
        }
        result
    }
}

/// Deletes a cluster on the driver it runs on; it is no longer the active one either. False if there
/// was none.
async fn delete_one(context: &Context, name: &ClusterName) -> Result<bool, Failure> {
    let mut host = context.host_for("skiff delete", name).await?;
    let journal = Arc::new(context.journal(name)?);
    host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
    let report = delete(&host, name).await.map_err(Failure::from);
    let existed = report.inspect_err(|failure| journal.failure(failure))?.existed;
    if host.store.active_profile()?.as_deref() == Some(name.as_str()) {
        host.store.set_active_profile(None)?;
    }
    Ok(existed)
}

/// All clusters there are: by their files, and by the labels of their machines.
async fn every_cluster(context: &Context) -> Result<BTreeSet<ClusterName>, Failure> {
    let files = context.store()?.list()?.into_iter().filter_map(|entry| entry.name.parse().ok());
    Ok(clusters(&context.providers()).await.into_iter().chain(files).collect())
}

/// Where a dockerd that skiff's makefile started is remembered; it outlives every cluster.
const DOCKERD: &str = "dockerd";

/// Empties the skiff home, and removes it if nothing is left.
fn purge(home: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            "HOST_PURGE",
            ExitCode::HOST_ERROR,
            format!("cannot remove what is in {}: {error}", home.display()),
            "Remove what is left by hand.",
        )
    };
    for entry in fs::read_dir(home).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == DOCKERD {
            continue;
        }
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.map_err(failed)?;
    }
    // Not empty means that something is to stay.
    let _ = fs::remove_dir(home);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purge_leaves_nothing_but_a_running_dockerd() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir_all(home.join("profiles/dev")).unwrap();
        fs::write(home.join("file"), "").unwrap();
        fs::create_dir_all(home.join(DOCKERD)).unwrap();
        purge(&home).unwrap();
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
        fs::remove_dir(home.join(DOCKERD)).unwrap();
        purge(&home).unwrap();
        assert!(!home.exists());
    }
}
