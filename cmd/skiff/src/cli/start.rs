//! `skiff start`.

mod dry_run;
mod folders;
mod network;
mod wait;

use std::{env, sync::Arc, time::Duration};

use skiff_cluster::{
    Before, Change, ClusterError, Impact, Outcome, Preview, StartOptions, StartReport, StartRequest, preview, start,
    undo_start,
};
use skiff_config::{ClusterName, SpecFile};
use skiff_driver::Driver;
use skiff_drivers::{AnyDriver, canonical, unknown};
use skiff_report::{ExitCode, Reporter};

use self::wait::{USABLE, Wait, parts, wait_for};
use super::{
    EventFormat,
    addons::AddonArgs,
    apply::{changed, kebab_case, live_resize},
    auto_pause,
    duration::go_duration,
    machine::MachineArgs,
    spec::SpecArgs,
    spec_defaults,
};
use crate::{
    context::{Context, print_line},
    failure::Failure,
    settings::Settings,
    ui::{Timings, seconds},
    wiring::{Artifacts, Images, SkiffHost},
};

/// Starts a cluster: makes it, brings it back, or does nothing if it runs as asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    pub(super) machines: MachineArgs,
    /// Upgrade even where pods do not leave their nodes, and ask no disruption budget.
    #[arg(long, help_heading = "Start")]
    force: bool,
    /// Only get what a start needs.
    #[arg(long, help_heading = "Artifacts")]
    download_only: bool,
    /// What to wait for: all, none, or a list of apiserver, system_pods, default_sa, dns, node_ready, kubelet.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = USABLE, value_parser = wait_for)]
    #[arg(help_heading = "Start")]
    wait: Vec<Wait>,
    /// How long to wait for it; three times as long where machines are emulated.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration, help_heading = "Start")]
    wait_timeout: Duration,
    /// Only check the settings, and tell what a start would do.
    #[arg(long, help_heading = "Start")]
    dry_run: bool,
    /// Leave a cluster that could not be made as it is, to look at it.
    #[arg(long, help_heading = "Start")]
    keep: bool,
    /// Delete a cluster that does not start, even if it did before.
    #[arg(long, help_heading = "Start")]
    delete_on_failure: bool,
    /// Write certificates into the kubeconfig, not paths to them.
    #[arg(long, help_heading = "Start")]
    embed_certs: bool,
    #[command(flatten)]
    addons: AddonArgs,
    /// Do not make this cluster kubectl's current one.
    #[arg(long, help_heading = "Start")]
    keep_context: bool,
    /// How long the cluster is needed, such as 1h: `skiff gc` deletes it after that.
    #[arg(long, value_name = "TIME", value_parser = go_duration, help_heading = "Start")]
    ttl: Option<Duration>,
    /// The process the cluster is for, such as $$: `skiff gc` deletes it when that is gone.
    #[arg(long, value_name = "PID", help_heading = "Start")]
    owner_pid: Option<u32>,
    /// What changes has been told already.
    #[arg(long, hide = true)]
    told: bool,
    /// Show where the time went.
    #[arg(long, help_heading = "Start")]
    timings: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Start")]
    pub(crate) output: EventFormat,
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SourceArgs {
    /// Where Kubernetes comes from: Debian's source packages, or the first source that works.
    #[arg(long, value_name = "SOURCE", default_value = "auto", help_heading = "Artifacts")]
    artifacts: Artifacts,
    /// Debian mirror to build Kubernetes from; the host's own if not given.
    #[arg(long, value_name = "URL", help_heading = "Artifacts")]
    debian_mirror: Option<String>,
}

impl SourceArgs {
    pub(super) fn images(&self, context: &Context, driver: &AnyDriver) -> Result<Images, Failure> {
        context.images(self.artifacts, self.debian_mirror.clone(), driver)
    }
}

impl Args {
    /// Starts the cluster; Ctrl-C undoes what this start made.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (dry_run, timings, keep) = (self.dry_run, self.timings && self.output == EventFormat::Text, self.keep);
        let (source, told) = (self.source.clone(), self.told);
        let mut request = self.into_request(context)?;
        let preview = check(context, &request)?;
        if dry_run {
            let telling = async {
                dry_run::tell(context, &source, &preview).await;
                Ok(ExitCode::SUCCESS)
            };
            return context.interrupt.unless(telling).await;
        }
        if !told {
            tell_changes(context, &preview).await;
        }
        if preview.before != Before::Cluster {
            let network = async { network::manifests(&preview.spec.cni).await };
            request.options.pod_network = context.interrupt.unless(network).await?;
        }
        let journal = Arc::new(context.journal(&context.cluster)?);
        let clock = Arc::new(Timings::new(Arc::clone(&journal) as Arc<dyn Reporter>));
        let connecting = context.host_with("skiff start", &preview.driver, Arc::clone(&clock) as Arc<dyn Reporter>);
        let host = context.interrupt.unless(connecting).await?;
        for flag in context.machines.left_out_by(host.driver.kind()) {
            context.ui.warn(&format!("{flag} is left out: the {} driver has no use for it.", host.driver.kind()));
        }
        let images = source.images(context, &host.driver)?;
        let work = async { Ok(start(&host, &images, request).await?) };
        let report = tokio::select! {
            report = work => report,
            interrupted = context.interrupt.came() => {
                // A start that still waits for another skiff has nothing to undo.
                let leave = keep || !clock.at_work();
                Err(if leave { interrupted } else { undo(context, &host, interrupted).await })
            }
        }
        .inspect_err(|failure| journal.failure(failure))?;
        // What cannot be tidied up now will be by the next build.
        let _ = images.discard(&report.version);
        auto_pause::leave(context, &host, &preview.spec, &report).await;
        conclude(context, &report);
        context.ui.finish();
        if let Some(table) = clock.table().filter(|_| timings) {
            print_line(&table)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Adds what is wrong with the settings to a failure that has nothing to do with them.
    pub(super) fn with_problems(&self, failure: Failure, settings: &Settings) -> Failure {
        let given: SpecFile = self.spec.clone().into();
        // Settings that cannot be read have been told already.
        let spec = given.over(spec_defaults(settings).unwrap_or_default());
        let driver = spec.driver.as_deref().and_then(unknown).map(|error| format!("--driver: {error}"));
        let problems = spec.resolve(ClusterName::default()).err().unwrap_or_default();
        failure.with_details(problems.iter().map(ToString::to_string).chain(driver))
    }

    fn into_request(self, context: &Context) -> Result<StartRequest, Failure> {
        let (addons, addon_settings) = self.addons.into_parts();
        Ok(StartRequest {
            name: context.cluster.clone(),
            defaults: with_own_name(spec_defaults(&context.settings)?),
            given: folders::absolute(with_own_name(self.spec.into()), &env::current_dir().unwrap_or_default()),
            options: StartOptions {
                wait: parts(&self.wait),
                wait_timeout: self.wait_timeout,
                keep: self.keep,
                delete_on_failure: self.delete_on_failure,
                force: self.force,
                download_only: self.download_only,
                embed_certs: self.embed_certs,
                keep_context: self.keep_context,
                addons,
                addon_settings,
                ttl: self.ttl,
                owner: self.owner_pid,
                pod_network: None,
            },
        })
    }
}

/// A driver called by another of its names is still the same driver.
fn with_own_name(spec: SpecFile) -> SpecFile {
    SpecFile { driver: spec.driver.as_deref().map(|name| canonical(name).to_owned()), ..spec }
}

/// Whether what was asked for can be built: all problems at once, before anything is touched. The
/// name of the driver counts; whether that driver works is left to the start itself.
fn check(context: &Context, request: &StartRequest) -> Result<Preview, Failure> {
    let driver = request.given.driver.as_ref().or(request.defaults.driver.as_ref());
    let driver = driver.and_then(|name| unknown(name)).map(Failure::from);
    let previewed = preview(&context.store()?, &super::catalog(context)?, request.clone()).and_then(|preview| {
        let remote = context.environment.docker_host.as_ref().is_some_and(|host| !host.starts_with("unix:"));
        let problems = folders::problems(&preview, remote);
        if problems.is_empty() { Ok(preview) } else { Err(ClusterError::Settings { problems }) }
    });
    match (previewed, driver) {
        (Ok(preview), None) => Ok(preview),
        (Err(error @ ClusterError::Settings { .. }), driver) => {
            let driver = driver.map(|failure| format!("--driver: {}", failure.message));
            Err(Failure::from(error).with_details(driver))
        }
        // A cluster that exists has a driver already: what is wrong with another one is not the point.
        (Err(error @ ClusterError::DriverMismatch { .. }), _) => Err(error.into()),
        (_, Some(driver)) => Err(driver),
        (Err(error), None) => Err(error.into()),
    }
}

/// Tells what a start changes of a cluster that is there, and what that does to it, before it is done.
async fn tell_changes(context: &Context, preview: &Preview) {
    if preview.before != Before::Cluster || preview.changes.is_empty() {
        return;
    }
    let live = live_resize(context, &preview.spec.name).await;
    context.ui.info(&format!("Cluster \"{}\" will change:", preview.spec.name));
    for line in changes(preview, live) {
        context.ui.info(&line);
    }
}

/// One line a change: the flag, from what to what, and what that does to a cluster that runs.
fn changes(preview: &Preview, live_resize: bool) -> impl Iterator<Item = String> + use<'_> {
    preview.changes.iter().map(move |(setting, (from, to))| {
        let impact = Impact::of(setting, live_resize);
        changed(&Change { impact, setting: kebab_case(setting), from: from.clone(), to: to.clone() })
    })
}

/// Undoes a start that Ctrl-C cut off. A cluster that was usable once stays.
async fn undo(context: &Context, host: &SkiffHost, interrupted: Failure) -> Failure {
    context.ui.info("Interrupted: undoing what was begun (Ctrl-C again to leave it)");
    match undo_start(host, &context.cluster).await {
        Ok(true) => Failure { message: "interrupted; what was begun is undone".to_owned(), ..interrupted },
        Ok(false) => interrupted,
        Err(error) => {
            let undo = Failure::from(error);
            let message = format!("interrupted; undoing what was begun failed: {}", undo.full_message());
            let advice = format!("`skiff delete -p {}` removes what is left.", context.cluster);
            Failure { message, advice, ..interrupted }
        }
    }
}

/// The last line: what kubectl does now.
fn conclude(context: &Context, report: &StartReport) {
    let name = &report.name;
    let text = match (report.outcome, &report.context) {
        (Outcome::Downloaded, _) => format!("everything that Kubernetes {} needs is here", report.version),
        (_, Some(entry)) if report.current_context => format!("kubectl uses context \"{entry}\" now"),
        (_, Some(entry)) => format!("`kubectl --context {entry}` leads to it"),
        (_, None) => format!("`skiff kubectl -p {name}` leads to it"),
    };
    context.ui.info(&format!("Done in {}: {text}", seconds(report.elapsed)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_stored_under_its_own_name() {
        let named =
            |name: &str| with_own_name(SpecFile { driver: Some(name.to_owned()), ..SpecFile::default() }).driver;
        assert_eq!(named("qemu2").as_deref(), Some("qemu"));
        assert_eq!(named("auto").as_deref(), Some("auto"));
        assert_eq!(with_own_name(SpecFile::default()), SpecFile::default());
    }
}
