//! `skiff snapshot`.

use std::sync::Arc;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use skiff_cluster::{ClusterSnapshot, delete_snapshot, list_snapshots, restore_snapshot, save_snapshot};
use skiff_driver::SnapshotName;
use skiff_report::{ExitCode, Reporter};

use super::{EventFormat, output::json};
use crate::{
    context::{Context, print, print_line},
    failure::Failure,
    journal::Journal,
    ui::{megabytes, table},
    wiring::SkiffHost,
};

/// Keeps a cluster as it is, and brings it back later.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keeps the cluster as it is now: running, paused or stopped. One that runs stands still meanwhile.
    Save(Named),
    /// Brings the cluster back to what it was when the snapshot was taken. What it did since is lost.
    Restore(Named),
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Deletes a snapshot. The cluster does not change by it.
    #[command(visible_alias = "rm")]
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Name of the snapshot: letters, digits, dots, dashes and underscores.
    #[arg(value_name = "NAME")]
    name: String,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: EventFormat,
}

/// Lists the snapshots of the cluster.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ListFormat {
    // For people.
    Table,
    // For programs.
    Json,
}

impl Args {
    /// How its events are to be shown.
    pub(crate) fn events(&self) -> EventFormat {
        match &self.verb {
            Verb::Save(named) | Verb::Restore(named) | Verb::Delete(named) => named.output,
            Verb::List(_) => EventFormat::Text,
        }
    }

    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::List(args) => return args.run(context).await,
            Verb::Save(named) => {
                let (host, journal) = recorded_host(context, "skiff snapshot save").await?;
                let saved = save_snapshot(&host, &context.cluster, &named.parsed()?).await;
                saved.map_err(Failure::from).inspect_err(|failure| journal.failure(failure))?;
            }
            Verb::Restore(named) => {
                let (host, journal) = recorded_host(context, "skiff snapshot restore").await?;
                let restored = restore_snapshot(&host, &context.cluster, &named.parsed()?).await;
                restored.map_err(Failure::from).inspect_err(|failure| journal.failure(failure))?;
            }
            Verb::Delete(named) => {
                let (host, journal) = recorded_host(context, "skiff snapshot delete").await?;
                let deleted = delete_snapshot(&host, &context.cluster, &named.parsed()?).await;
                deleted.map_err(Failure::from).inspect_err(|failure| journal.failure(failure))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The host of a cluster that exists, with what happens written into the cluster's log of events.
async fn recorded_host(context: &Context, command: &str) -> Result<(SkiffHost, Arc<Journal>), Failure> {
    let mut host = context.host_of_cluster(command).await?;
    let journal = Arc::new(context.journal(&context.cluster)?);
    host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
    Ok((host, journal))
}

impl Named {
    fn parsed(&self) -> Result<SnapshotName, Failure> {
        self.name.parse().map_err(|error| Failure::usage(format!("{error}"), "Choose another name."))
    }
}

impl ListArgs {
    async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_of_cluster("skiff snapshot list").await?;
        let snapshots = list_snapshots(&host, &context.cluster).await?;
        match self.output {
            ListFormat::Json => print(&json(&snapshots.iter().map(Row::from).collect::<Vec<_>>())?)?,
            ListFormat::Table if snapshots.is_empty() => {
                context.ui.info(&format!("Cluster \"{}\" has no snapshots", context.cluster));
            }
            ListFormat::Table => print_line(&to_table(&snapshots))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn to_table(snapshots: &[ClusterSnapshot]) -> String {
    let rows = snapshots.iter().map(Row::from).map(|row| {
        let holds = match (row.complete, row.memory) {
            (false, _) => "not all nodes: it cannot be restored",
            (true, true) => "memory and disks",
            (true, false) => "disks",
        };
        let size = row.size.map_or_else(|| "unknown".to_owned(), megabytes);
        [row.name, row.created, size, holds.to_owned(), row.nodes.join(", ")]
    });
    table(["Name", "Created", "Size", "Holds", "Nodes"], rows).to_string()
}

/// A snapshot as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: String,
    /// RFC 3339.
    created: String,
    /// In bytes; not there where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// True if the cluster goes on where it was.
    memory: bool,
    nodes: Vec<String>,
    /// False if it lacks a node.
    complete: bool,
}

impl From<&ClusterSnapshot> for Row {
    fn from(snapshot: &ClusterSnapshot) -> Self {
        Self {
            name: snapshot.name.to_string(),
            created: Timestamp::try_from(snapshot.taken).map(|time| time.to_string()).unwrap_or_default(),
            size: Some(snapshot.size).filter(|size| *size > 0),
            memory: snapshot.memory,
            nodes: snapshot.nodes.clone(),
            complete: snapshot.complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_snapshot_is_told_to_people_and_programs() {
        let snapshot = ClusterSnapshot {
            name: "base".parse().unwrap(),
            taken: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
            memory: true,
            size: 1_500_000,
            nodes: vec!["dev".to_owned(), "dev-m02".to_owned()],
            complete: true,
        };
        let expected = r#"{"Name":"base","Created":"2001-09-09T01:46:40Z","Size":1500000,"Memory":true,"Nodes":["dev","dev-m02"],"Complete":true}"#;
        assert_eq!(serde_json::to_string(&Row::from(&snapshot)).unwrap(), expected);
        let table = to_table(std::slice::from_ref(&snapshot));
        assert!(table.contains("memory and disks") && table.contains("1.5 MB"), "{table}");
        let cut = ClusterSnapshot { complete: false, ..snapshot };
        assert!(to_table(&[cut]).contains("cannot be restored"));
    }
}
