//! `skiff upgrade`: the way to a newer Kubernetes, shown or gone.

use std::ffi::OsString;

use skiff_cluster::{ClusterError, UpgradeStep, planned_upgrade, upgrade_under_way};
use skiff_config::{KubeVersion, UpgradeRecord};
use skiff_report::ExitCode;

use super::{Cli, Command, command};
use crate::{context::Context, failure::Failure};

/// Brings a cluster to a newer Kubernetes, node by node, and back if that fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The version; the newest that skiff can get if not given.
    #[arg(long, value_name = "VERSION", default_value = "stable", value_parser = version)]
    to: KubeVersion,
    /// Only show the steps.
    #[arg(long)]
    dry_run: bool,
    /// Go on even where pods do not leave their nodes, and ask no disruption budget.
    #[arg(long)]
    force: bool,
    /// How long to wait for the pods of a node to leave it, and for a node to be ready.
    #[arg(long, value_name = "TIME", default_value = "6m")]
    wait_timeout: String,
}

fn version(text: &str) -> Result<KubeVersion, String> {
    text.parse().map_err(|error: skiff_config::InvalidVersion| error.to_string())
}

impl Args {
    /// Shows the steps, or has `start` take them.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        let under_way = upgrade_under_way(&store, &context.cluster)?;
        let steps = planned_upgrade(&store, &context.cluster, &self.to)?;
        for line in under_way.iter().map(unfinished).chain(lines(&steps)) {
            context.ui.info(&line);
        }
        if steps.is_empty() && under_way.is_none() {
            let file = store.load(&context.cluster)?;
            file.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
            context.ui.info(&format!("Cluster \"{}\" has Kubernetes {} already", context.cluster, self.to));
            return Ok(ExitCode::SUCCESS);
        }
        if self.dry_run {
            context.ui.info("Nothing was done (--dry-run).");
            return Ok(ExitCode::SUCCESS);
        }
        let to = self.to.to_string();
        let mut line = vec!["skiff", "start", "--kubernetes-version", &to, "--wait-timeout", &self.wait_timeout];
        if self.force {
            line.push("--force");
        }
        let line: Vec<OsString> = line.into_iter().map(OsString::from).collect();
        let tree = command(&context.settings);
        match Cli::parse(tree, &line).map_err(|error| Failure::from_clap(&error, "skiff upgrade"))?.command {
            Some(Command::Start(start)) => Box::pin(start.run(context)).await,
            // It is what the line says.
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// An upgrade that was cut off, for a person.
fn unfinished(record: &UpgradeRecord) -> String {
    let UpgradeRecord { from, to, .. } = record;
    if record.stage.is_undo() {
        format!("An upgrade from Kubernetes {from} to {to} failed and is not undone yet: that comes first")
    } else {
        format!("An upgrade from Kubernetes {from} to {to} was cut off; what is left of it:")
    }
}

/// The steps for a person.
fn lines(steps: &[UpgradeStep]) -> impl Iterator<Item = String> {
    steps.iter().map(|step| format!("  {step}"))
}

#[cfg(test)]
mod tests {
    use skiff_cluster::{UpgradeNode, plan_upgrade};

    use super::*;

    #[test]
    fn a_plan_reads_as_a_list() {
        let node = |name: &str, control_plane| UpgradeNode {
            name: name.parse().unwrap(),
            control_plane,
            version: KubeVersion::new(1, 24, 17),
        };
        let steps = plan_upgrade(&[node("dev", true), node("dev-m02", false)], &KubeVersion::new(1, 25, 16)).unwrap();
        insta::assert_snapshot!(lines(&steps).collect::<Vec<_>>().join("\n"));
    }
}
