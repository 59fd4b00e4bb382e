//! `skiff attend-cluster`: what pauses a cluster that nobody uses. Only skiff itself calls it, and
//! leaves it behind.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use skiff_cluster::{ClusterError, Outcome, StartReport, attend_cluster, can_auto_pause, take_from_attendant};
use skiff_config::{ClusterName, ClusterSpec};
use skiff_report::ExitCode;
use skiff_store::{Process, Store};

use super::behind;
use crate::{context::Context, failure::Failure, wiring::SkiffHost};

/// Its name.
pub(super) const VERB: &str = "attend-cluster";
/// Its log, among the cluster's.
const LOG: &str = "auto-pause.log";

/// Pauses a cluster that nobody uses, and lets it go on when somebody does.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        // A session of its own: the shell that made it may end, and Ctrl-C there is not for it.
        let _ = rustix::process::setsid();
        // Whoever made this process notes it after it is there.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (store, name) = (context.store()?, &context.cluster);
        let told = |news: &str| log(&store, name, news);
        let attended = async {
            let mut host = context.host_of_cluster("skiff, on behalf of --auto-pause-interval").await?;
            host.reporter = Arc::new(context.journal(name)?);
            Ok::<_, Failure>(attend_cluster(&host, name, &told).await?)
        };
        attended.await.inspect_err(|failure| told(&failure.full_message()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn log(store: &Store, name: &ClusterName, news: &str) {
    // A log that cannot be written is no reason to leave a cluster frozen.
    let _ = store.append_log(name, LOG, &format!("{} {news}\n", Timestamp::now()));
}

/// Leaves somebody behind who attends the cluster, if it asks for that; nobody does otherwise.
pub(super) async fn leave(context: &Context, host: &SkiffHost, spec: &ClusterSpec, report: &StartReport) {
    if report.outcome == Outcome::Downloaded {
        return;
    }
    if let Err(failure) = settle(context, host, spec).await {
        context.ui.warn(&format!("the cluster is not paused when nobody uses it: {}", failure.full_message()));
    }
}

async fn settle(context: &Context, host: &SkiffHost, spec: &ClusterSpec) -> Result<(), Failure> {
    let unattended = take_from_attendant(host, &spec.name).await?;
    let Some(interval) = spec.auto_pause else { return Ok(()) };
    let failed = |error: std::io::Error| {
        Failure::new("MK_DAEMONIZE", ExitCode::PROGRAM_ERROR, format!("no process can be left behind: {error}"), "")
    };
    if !can_auto_pause() {
        return Err(failed(std::io::Error::other("this system does not tell who is connected to a cluster")));
    }
    let unset = ["SKIFF_AUTO_PAUSE_INTERVAL", "SKIFF_OUTPUT"];
    let mut child = behind::leave(context, &[VERB, "--profile", spec.name.as_str()], &unset).map_err(failed)?;
    let noted = match Process::of(child.id()) {
        Some(process) => unattended.hand_to(&process),
        None => Err(ClusterError::NotRunning(spec.name.clone())),
    };
    if let Err(error) = noted {
        // It would do nothing anyway: nobody has noted it.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error.into());
    }
    let text = format!("It is paused when nobody uses it for {} s, until somebody does", interval.as_secs());
    context.ui.info(&text);
    Ok(())
}
