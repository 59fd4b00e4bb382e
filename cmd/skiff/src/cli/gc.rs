//! `skiff gc`.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use serde::Serialize;
use skiff_cluster::{Garbage, GcReport, gc};
use skiff_drivers::AUTO;
use skiff_report::{ExitCode, Silent};

use super::{EventFormat, output::json};
use crate::{
    context::{Context, print},
    failure::Failure,
};

/// Deletes clusters that nobody needs any more: those whose --ttl is over, those whose --owner-pid is gone,
/// and those whose making was cut off.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tell what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: EventFormat,
}

#[derive(Debug, Serialize)]
struct Row {
    cluster: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Document {
    removed: Vec<Row>,
    kept: Vec<Row>,
    failed: Vec<Row>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let stored = context.store()?.list()?.into_iter().filter_map(|entry| entry.cluster.ok()?.status.driver);
        let mut drivers: BTreeSet<String> = stored.collect();
        if drivers.is_empty() {
            // Machines whose profiles are lost are with the driver that `start` would take.
            drivers.insert(AUTO.to_owned());
        }
        let (mut report, mut result) = (GcReport::default(), Ok(ExitCode::SUCCESS));
        for driver in drivers {
            let collected = async {
                // What is deleted is told as a whole, not node by node.
                let host = context.host_on("skiff gc", &driver, Arc::new(Silent)).await?;
                Ok::<GcReport, Failure>(gc(&host, SystemTime::now(), self.dry_run).await?)
            };
            match collected.await {
                Ok(one) => {
                    report.removed.extend(one.removed);
                    report.kept.extend(one.kept);
                    report.failed.extend(one.failed);
                }
                Err(failure) => result = context.first_failure(result, failure),
            }
        }
        match self.output {
            EventFormat::Text => print(&text(&report, self.dry_run))?,
            EventFormat::Json => print(&json(&document(&report))?)?,
        }
        for (garbage, error) in report.failed {
            let mut failure = Failure::from(error);
            failure.message = format!("cluster \"{}\" could not be deleted: {}", garbage.cluster, failure.message);
            result = context.first_failure(result, failure);
        }
        result
    }
}

fn text(report: &GcReport, dry_run: bool) -> String {
    let verb = if dry_run { "Would delete" } else { "Deleted" };
    let removed =
        report.removed.iter().map(|Garbage { cluster, why }| format!("{verb} cluster \"{cluster}\": {why}\n"));
    let kept = report.kept.iter().map(|Garbage { cluster, why }| {
        format!("Kept cluster \"{cluster}\": {why}; `skiff delete -p {cluster}` deletes it\n")
    });
    let text: String = removed.chain(kept).collect();
    if text.is_empty() && report.failed.is_empty() { "Nothing to delete\n".to_owned() } else { text }
}

fn document(report: &GcReport) -> Document {
    let row = |garbage: &Garbage| Row { cluster: garbage.cluster.to_string(), reason: garbage.why.clone() };
    Document {
        removed: report.removed.iter().map(row).collect(),
        kept: report.kept.iter().map(row).collect(),
        failed: report.failed.iter().map(|(garbage, _)| row(garbage)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_and_what_was_kept_is_told_with_the_reason() {
        let garbage = |name: &str, why: &str| Garbage { cluster: name.parse().unwrap(), why: why.to_owned() };
        let report = GcReport {
            removed: vec![garbage("ci1", "its time was up")],
            kept: vec![garbage("old", "no profile")],
            failed: Vec::new(),
        };
        assert_eq!(
            text(&report, true),
            "Would delete cluster \"ci1\": its time was up\n\
             Kept cluster \"old\": no profile; `skiff delete -p old` deletes it\n"
        );
        assert_eq!(text(&GcReport::default(), false), "Nothing to delete\n");
        assert_eq!(
            json(&document(&report)).unwrap(),
            "{\"removed\":[{\"cluster\":\"ci1\",\"reason\":\"its time was up\"}],\
             \"kept\":[{\"cluster\":\"old\",\"reason\":\"no profile\"}],\"failed\":[]}\n"
        );
    }
}
