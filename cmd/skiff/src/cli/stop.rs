//! `skiff stop`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use skiff_cluster::{
    ScheduledStop, await_scheduled_stop, cancel_scheduled_stop, note_scheduled_stop, scheduled_stop, stop,
};
use skiff_config::ClusterName;
use skiff_report::{ExitCode, Reporter};
use skiff_store::{Process, Store};

use super::{EventFormat, behind, duration::go_duration};
use crate::{context::Context, failure::Failure};

/// Stops a cluster. Its data is kept; `start` brings it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop every cluster.
    #[arg(long)]
    all: bool,
    /// Leave kubectl's current context alone.
    #[arg(long)]
    keep_context_active: bool,
    /// Stop it when this time has passed, such as 15m; replaces what was scheduled before.
    #[arg(long, value_name = "TIME", value_parser = go_duration)]
    schedule: Option<Duration>,
    /// Take a scheduled stop back.
    #[arg(long, conflicts_with = "schedule")]
    cancel_scheduled: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
    /// What the process that waits for a scheduled stop is told.
    #[arg(long, hide = true, value_name = "TIME")]
    scheduled_for: Option<Timestamp>,
}

/// The log of what waits in the background, among the cluster's.
const LOG: &str = "scheduled-stop.log";

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        if let Some(at) = self.scheduled_for {
            return self.wait_and_stop(context, at.into()).await;
        }
        if self.cancel_scheduled {
            return self.cancel(context);
        }
        if let Some(delay) = self.schedule {
            return self.schedule(context, delay);
        }
        let mut result = Ok(ExitCode::SUCCESS);
        for name in self.names(context, &context.store()?)? {
            if let Err(failure) = self.stop_one(context, &name).await {
                result = context.first_failure(result, failure);
            }
        }
        result
    }

    /// Stops a cluster on the driver it runs on.
    async fn stop_one(&self, context: &Context, name: &ClusterName) -> Result<(), Failure> {
        let mut host = context.host_for("skiff stop", name).await?;
        let journal = Arc::new(context.journal(name)?);
        host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
        let stopped = stop(&host, name, self.keep_context_active).await.map(drop).map_err(Failure::from);
        stopped.inspect_err(|failure| journal.failure(failure))
    }

    /// The clusters it is about.
    fn names(&self, context: &Context, store: &Store) -> Result<Vec<ClusterName>, Failure> {
        if !self.all {
            return Ok(vec![context.cluster.clone()]);
        }
        Ok(store.list()?.iter().filter_map(|entry| entry.name.parse().ok()).collect())
    }

    fn cancel(&self, context: &Context) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        for name in self.names(context, &store)? {
            context.ui.info(&if cancel_scheduled_stop(&store, &name)? {
                format!("Cluster \"{name}\" is not stopped any more when its time comes")
            } else {
                format!("No stop of cluster \"{name}\" was scheduled")
            });
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Leaves a process behind that stops the clusters when the time has come.
    fn schedule(&self, context: &Context, delay: Duration) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        let at = SystemTime::now() + delay;
        // Whole seconds: that is how the time is kept.
        let at = Timestamp::try_from(at).and_then(|at| Timestamp::from_second(at.as_second()));
        let at = at.map_err(|_| Failure::usage("--schedule: that is too far away", "Use a shorter time."))?;
        let mut result = Ok(ExitCode::SUCCESS);
        for name in self.names(context, &store)? {
            match self.leave_behind(context, &store, &name, at) {
                Ok(()) => context.ui.info(&format!(
                    "Cluster \"{name}\" stops in {}: `skiff stop -p {name} --cancel-scheduled` takes it back",
                    go_text(delay)
                )),
                Err(failure) => result = context.first_failure(result, failure),
            }
        }
        result
    }

    fn leave_behind(&self, context: &Context, store: &Store, name: &ClusterName, at: Timestamp) -> Result<(), Failure> {
        // Told before a process is there that would have to be ended again.
        store.load(name)?.ok_or_else(|| skiff_cluster::ClusterError::NotFound(name.clone()))?;
        let failed = |error: std::io::Error| {
            Failure::new(
                "MK_DAEMONIZE",
                ExitCode::PROGRAM_ERROR,
                format!("no process can be left behind: {error}"),
                "`sleep 900; skiff stop` does the same.",
            )
        };
        let at_text = at.to_string();
        let keep = format!("--keep-context-active={}", self.keep_context_active);
        let line = ["stop", "--profile", name.as_str(), "--scheduled-for", &at_text, &keep];
        let unset = ["SKIFF_SCHEDULE", "SKIFF_ALL", "SKIFF_CANCEL_SCHEDULED"];
        let mut child = behind::leave(context, &line, &unset).map_err(failed)?;
        let noted = Process::of(child.id()).ok_or_else(|| failed(std::io::Error::other("it ended at once")));
        let noted = noted.and_then(|process| {
            let stop = ScheduledStop { at: at.into(), process };
            Ok(note_scheduled_stop(store, name, &stop)?)
        });
        if noted.is_err() {
            // It would do nothing anyway: nobody has noted it.
            let _ = child.kill();
            let _ = child.wait();
        }
        noted
    }

    /// What the process that was left behind does.
    async fn wait_and_stop(self, context: &Context, at: SystemTime) -> Result<ExitCode, Failure> {
        // A session of its own: the shell that made it may end, and Ctrl-C there is not for it.
        let _ = rustix::process::setsid();
        let store = context.store()?;
        let name = &context.cluster;
        let stopped = async {
            // Whoever made this process notes it after it is there.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !await_scheduled_stop(&store, name, at).await? {
                return Ok(false);
            }
            let mut host = context.host("skiff stop --schedule").await?;
            host.reporter = Arc::new(context.journal(name)?);
            stop(&host, name, self.keep_context_active).await?;
            Ok::<bool, Failure>(true)
        };
        let result = stopped.await;
        let line = match &result {
            Ok(true) => "stopped\n".to_owned(),
            Ok(false) => return Ok(ExitCode::SUCCESS),
            Err(failure) => failure.to_text() + "\n",
        };
        store.append_log(name, LOG, &format!("{} {line}", Timestamp::now()))?;
        result.map(|_| ExitCode::SUCCESS)
    }
}

/// How long until a cluster is stopped, as minikube shows it; `None` if that is not scheduled.
pub(super) fn time_to_stop(store: &Store, name: &ClusterName) -> Result<Option<String>, Failure> {
    let stop = scheduled_stop(store, name)?;
    Ok(stop.and_then(|stop| stop.at.duration_since(SystemTime::now()).ok()).map(go_text))
}

/// A duration in whole seconds as Go writes it: `1h0m5s`.
fn go_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_in_go() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (900, "15m0s"), (3605, "1h0m5s")] {
            assert_eq!(go_text(Duration::from_secs(seconds)), text);
        }
    }
}
