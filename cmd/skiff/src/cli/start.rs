//! `skiff start`.

use std::time::Duration;

use jiff::SignedDuration;
use skiff_cluster::{StartOptions, StartRequest, WaitFor};
use skiff_config::Problem;
use skiff_report::ExitCode;

use super::{EventFormat, spec::SpecArgs, spec_defaults};
use crate::{context::Context, failure::Failure};

/// Starts a cluster: makes it, brings it back, or does nothing if it runs as asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Where Kubernetes comes from.
    #[arg(long, value_name = "SOURCE", default_value = "auto", help_heading = "Artifacts")]
    artifacts: Artifacts,
    /// Debian mirror to build Kubernetes from; the host's own if not given.
    #[arg(long, value_name = "URL", help_heading = "Artifacts")]
    debian_mirror: Option<String>,
    /// Only get what a start needs.
    #[arg(long, help_heading = "Artifacts")]
    download_only: bool,
    /// What to wait for: all, none, or a list of apiserver, system_pods, default_sa, dns, node_ready, kubelet.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "all", value_parser = wait_for)]
    #[arg(help_heading = "Start")]
    wait: Vec<Wait>,
    /// How long to wait for it.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration, help_heading = "Start")]
    wait_timeout: Duration,
    /// Only check the settings.
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
    /// Do not make this cluster kubectl's current one.
    #[arg(long, help_heading = "Start")]
    keep_context: bool,
    /// Show where the time went.
    #[arg(long, help_heading = "Start")]
    timings: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Start")]
    pub(crate) output: EventFormat,
}

/// `--artifacts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Artifacts {
    /// The first source that works.
    Auto,
    /// The Kubernetes project's own releases.
    Official,
    /// Built from Debian's source packages.
    Debian,
}

/// A word of `--wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    All,
    None,
    For(WaitFor),
}

/// Everything there is to wait for, under minikube's names.
const PARTS: [(&str, WaitFor); 6] = [
    ("apiserver", WaitFor::ApiServer),
    ("system_pods", WaitFor::SystemPods),
    ("default_sa", WaitFor::DefaultServiceAccount),
    ("dns", WaitFor::Dns),
    ("node_ready", WaitFor::NodeReady),
    ("kubelet", WaitFor::Kubelet),
];

fn wait_for(text: &str) -> Result<Wait, String> {
    match text {
        "all" | "true" => Ok(Wait::All),
        "none" | "false" => Ok(Wait::None),
        _ => PARTS.iter().find(|(name, _)| *name == text).map(|(_, part)| Wait::For(*part)).ok_or_else(|| {
            let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            format!("use all, none, or some of {}", names.join(", "))
        }),
    }
}

/// A duration as Go programs write it: `6m`, `1h30m`, `90s`.
pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SignedDuration>().map_err(|_| "write it like 90s, 6m or 1h30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())
}

/// All words of `--wait` together, each part once, in the order of the parts.
fn parts(words: &[Wait]) -> Vec<WaitFor> {
    let wanted = |part: &WaitFor| words.contains(&Wait::All) || words.contains(&Wait::For(*part));
    PARTS.iter().map(|(_, part)| *part).filter(wanted).collect()
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let dry_run = self.dry_run;
        let request = self.into_request(context)?;
        if dry_run {
            check(request)?;
            context.ui.info("the settings are valid; nothing was started (--dry-run)");
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new("MK_UNIMPLEMENTED", ExitCode::PROGRAM_UNSUPPORTED, "this build cannot start clusters yet", ""))
    }

    fn into_request(self, context: &Context) -> Result<StartRequest, Failure> {
        Ok(StartRequest {
            name: context.cluster.clone(),
            defaults: spec_defaults(&context.settings)?,
            given: self.spec.into(),
            options: StartOptions {
                wait: parts(&self.wait),
                wait_timeout: self.wait_timeout,
                keep: self.keep,
                delete_on_failure: self.delete_on_failure,
                download_only: self.download_only,
                embed_certs: self.embed_certs,
                keep_context: self.keep_context,
            },
        })
    }
}

/// Whether what was asked for can be built: all problems at once.
fn check(request: StartRequest) -> Result<(), Failure> {
    request.given.over(request.defaults).resolve(request.name).map(drop).map_err(|problems| invalid(&problems))
}

fn invalid(problems: &[Problem]) -> Failure {
    let reason = Problem::reason(problems);
    let message = match problems.len() {
        1 => "a setting cannot be used".to_owned(),
        many => format!("{many} settings cannot be used"),
    };
    Failure::new(reason.id, reason.exit, message, reason.advice).with_details(problems.iter().map(ToString::to_string))
}
