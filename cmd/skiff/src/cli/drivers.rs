//! `skiff drivers`.

use serde::Serialize;
use skiff_driver::Capabilities;
use skiff_drivers::{Finding, Survey, Verdict, survey};
use skiff_report::{Diagnose, ExitCode, Reason};

use super::output::{ListFormat, json};
use crate::{
    context::{Context, print, print_line},
    failure::Failure,
    ui::{megabytes, table},
};

/// Lists the drivers, whether they work on this host, and which one `--driver=auto` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let survey = survey(&context.providers()).await;
        match self.output {
            ListFormat::Table => print_line(&to_table(&survey))?,
            ListFormat::Json => print(&json(&to_json(&survey))?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn to_table(survey: &Survey) -> String {
    let rows = survey.findings.iter().map(|finding| {
        let (works, remark) = match &finding.verdict {
            Verdict::Usable(can) => {
                let what = format!("{} processors, {} of memory", can.cpus, megabytes(can.memory));
                let why = survey.rejection(finding).unwrap_or_else(|| "taken by auto".to_owned());
                let slow = finding.emulation.as_ref().map(|why| format!("; emulates machines: {why}"));
                ("yes", format!("{what}; {why}{}", slow.unwrap_or_default()))
            }
            Verdict::Unusable(error) => ("no", with_advice(&failed(finding), error.reason())),
        };
        [finding.kind.to_string(), works.to_owned(), remark]
    });
    table(["Driver", "Works", "Remark"], rows).to_string()
}

fn with_advice(message: &str, reason: Reason) -> String {
    if reason.advice.is_empty() { message.to_owned() } else { format!("{message}. {}", reason.advice) }
}

/// Why a driver does not work, on one line.
fn failed(finding: &Finding) -> String {
    match &finding.verdict {
        Verdict::Unusable(error) => Failure::from_error(error, error.reason()).full_message(),
        Verdict::Usable(_) => String::new(),
    }
}

fn to_json(survey: &Survey) -> Vec<Row> {
    let row = |(at, finding): (usize, &Finding)| {
        let (reason, can) = match &finding.verdict {
            Verdict::Usable(can) => (None, Some(can.into())),
            Verdict::Unusable(error) => (Some(error.reason()), None),
        };
        Row {
            name: finding.kind.as_str(),
            priority: at + 1,
            default: survey.auto() == Some(finding.kind),
            rejection: survey.rejection(finding).unwrap_or_default(),
            emulation: finding.emulation.clone().unwrap_or_default(),
            state: State {
                installed: reason.as_ref().is_none_or(|reason| !absent(reason.exit)),
                healthy: reason.is_none(),
                error: failed(finding),
                reason: reason.as_ref().map_or("", |reason| reason.id),
                exit_code: reason.as_ref().map_or(0, |reason| reason.exit.0),
                fix: reason.map(|reason| reason.advice.into_owned()).unwrap_or_default(),
            },
            capabilities: can,
        }
    };
    survey.findings.iter().enumerate().map(row).collect()
}

/// Whether what the driver stands on is not on this host at all, or never can be.
fn absent(exit: ExitCode) -> bool {
    [ExitCode::PROVIDER_NOT_FOUND, ExitCode::DRIVER_UNSUPPORTED].contains(&exit)
}

/// One driver, under the names that minikube has for these things.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: &'static str,
    /// 1 is looked at first.
    priority: usize,
    /// What `auto` takes.
    default: bool,
    /// Why `auto` does not take it.
    rejection: String,
    /// Why its machines are emulated, if they are.
    emulation: String,
    state: State,
    capabilities: Option<Can>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    installed: bool,
    healthy: bool,
    error: String,
    reason: &'static str,
    exit_code: u8,
    fix: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Can {
    #[serde(rename = "CPUs")]
    cpus: u32,
    memory: u64,
    shares_host_kernel: bool,
    unified_cgroups: bool,
    routable_nodes: bool,
    live_resize: bool,
    disk_limit: bool,
    host_folders: bool,
    /// What snapshots hold: none, disk or memory.
    snapshots: &'static str,
}

impl From<&Capabilities> for Can {
    fn from(can: &Capabilities) -> Self {
        Self {
            cpus: can.cpus,
            memory: can.memory,
            shares_host_kernel: can.shares_host_kernel,
            unified_cgroups: can.unified_cgroups,
            routable_nodes: can.routable_nodes,
            live_resize: can.live_resize,
            disk_limit: can.disk_limit,
            host_folders: can.host_folders,
            snapshots: can.snapshots.as_str(),
        }
    }
}
