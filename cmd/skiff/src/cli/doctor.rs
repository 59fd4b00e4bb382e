//! `skiff doctor`.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::Serialize;
use skiff_doctor::{DriverFact, Facts, Finding, Folder, Level, Proxies, Roots, examine, room};
use skiff_drivers::{Verdict, survey};
use skiff_report::{Diagnose, ExitCode, chain};

use super::{EventFormat, output::json};
use crate::{
    context::{Context, print},
    failure::Failure,
};

/// How long Docker may take to tell about itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where Docker keeps its data unless it is told otherwise.
const DOCKER_ROOT: &str = "/var/lib/docker";

/// Looks for what keeps clusters from starting on this host, or will soon, and tells how to repair it.
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code is 0 if a cluster can start; otherwise that of what is in the way.")]
pub(crate) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: EventFormat,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (survey, docker) = tokio::join!(async { survey(&context.providers()).await }, about_docker());
        let drivers = survey.findings.iter().map(|finding| DriverFact {
            name: finding.kind.to_string(),
            health: match &finding.verdict {
                Verdict::Usable(can) => Ok(match docker.as_ref().filter(|_| finding.kind.as_str() == "docker") {
                    Some(docker) => format!("works, version {}", docker.version),
                    None => format!("works, with {} processors and {} MiB of memory", can.cpus, can.memory >> 20),
                }),
                Verdict::Unusable(error) => Err((chain(error), error.reason())),
            },
        });
        let folders = folders(context, docker.as_ref());
        let facts = Facts::gather(&Roots::default(), folders, context.environment.proxies.clone(), drivers.collect());
        let clock = docker.and_then(|docker| Some(docker.clock? + docker.asked.elapsed().unwrap_or_default()));
        let findings = examine(&facts.with_engine_clock(clock));
        match self.output {
            EventFormat::Text => print(&text(&findings))?,
            EventFormat::Json => print(&json(&document(&findings))?)?,
        }
        Ok(exit_code(&findings))
    }
}

/// What Docker says of itself.
struct Docker {
    version: String,
    root: PathBuf,
    clock: Option<SystemTime>,
    asked: SystemTime,
}

/// Asks Docker's own program, which knows where its Engine is. `None` where there is none.
async fn about_docker() -> Option<Docker> {
    let mut docker = tokio::process::Command::new("docker");
    docker.args(["info", "--format", "{{.ServerVersion}}|{{.DockerRootDir}}|{{.SystemTime}}"]).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, docker.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.trim().split('|').map(str::to_owned);
    let (version, root, clock) = (words.next()?, words.next()?, words.next()?);
    let clock = clock.parse::<Timestamp>().ok().map(SystemTime::from);
    (!version.is_empty()).then(|| Docker { version, root: root.into(), clock, asked: SystemTime::now() })
}

fn folders(context: &Context, docker: Option<&Docker>) -> Vec<Folder> {
    let root = docker.map_or_else(|| DOCKER_ROOT.into(), |docker| docker.root.clone());
    let own = |name, path: &PathBuf| Folder {
        name,
        path: path.clone(),
        shared_by_nodes: false,
        fix: format!("`skiff node-image rm` what is not used, or another disk for {}.", path.display()),
    };
    let docker = Folder {
        name: "disk-docker",
        path: root.clone(),
        shared_by_nodes: true,
        fix: "docker system prune; `skiff delete` clusters that are not needed".to_owned(),
    };
    let own = [own("disk-home", &context.environment.home), own("disk-cache", &context.environment.cache)];
    // Where Docker is on another host, its disk is not here to be measured.
    root.exists().then_some(docker).into_iter().chain(own).collect()
}

fn exit_code(findings: &[Finding]) -> ExitCode {
    let blocking = findings.iter().find_map(|finding| match finding.level {
        Level::Blocking(exit) => Some(exit),
        _ => None,
    });
    blocking.unwrap_or(ExitCode::SUCCESS)
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { name, level, message, fix, .. } in findings {
        text += &format!("{:8}  {name:width$}  {message}\n", level.as_str());
        if !fix.is_empty() {
            text += &format!("{:8}  {:width$}  fix: {fix}\n", "", "");
        }
    }
    let verdict = match (exit_code(findings), room(findings)) {
        (ExitCode::SUCCESS, Some(room)) => {
            format!("Clusters can start; there is room for {room} more node{}.", if room == 1 { "" } else { "s" })
        }
        (ExitCode::SUCCESS, None) => "Clusters can start.".to_owned(),
        _ => "Clusters cannot start before what is blocking is repaired.".to_owned(),
    };
    text + &verdict + "\n"
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    fix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<u64>,
    findings: Vec<Row<'a>>,
}

fn document(findings: &[Finding]) -> Document<'_> {
    fn row(finding: &Finding) -> Row<'_> {
        let Finding { name, level, message, fix, room } = finding;
        Row { name, level: level.as_str(), message, fix, room: *room }
    }
    let ok = exit_code(findings) == ExitCode::SUCCESS;
    Document { ok, room: room(findings), findings: findings.iter().map(row).collect() }
}

/// The variables that a doctor is interested in.
pub(crate) fn proxies(get: impl Fn(&str) -> Option<String>) -> Proxies {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    Proxies {
        proxies: names.into_iter().filter_map(|name| Some((name.to_owned(), get(name)?))).collect(),
        exceptions: get("NO_PROXY").or_else(|| get("no_proxy")),
        authorities: get("SSL_CERT_FILE").map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, level: Level, fix: &str) -> Finding {
        Finding { name: name.to_owned(), level, message: "there".to_owned(), fix: fix.to_owned(), room: Some(3) }
    }

    #[test]
    fn the_first_thing_in_the_way_decides_the_exit_code() {
        let mut findings = vec![finding("cpus", Level::Good, ""), finding("clock", Level::Warning, "set it")];
        assert_eq!(exit_code(&findings), ExitCode::SUCCESS);
        assert!(text(&findings).ends_with("Clusters can start; there is room for 3 more nodes.\n"));
        findings.push(finding("memory", Level::Blocking(ExitCode::INSUFFICIENT_MEMORY), "buy some"));
        assert_eq!(exit_code(&findings), ExitCode::INSUFFICIENT_MEMORY);
        let text = text(&findings);
        assert!(text.contains("blocking  memory  there\n                  fix: buy some\n"), "{text}");
        let json = json(&document(&findings)).unwrap();
        assert!(json.starts_with(r#"{"ok":false,"room":3,"findings":[{"name":"cpus","level":"ok""#), "{json}");
    }

    #[test]
    fn proxies_are_found_in_both_spellings() {
        let found = proxies(|name| (name == "https_proxy" || name == "no_proxy").then(|| "x".to_owned()));
        assert_eq!((found.proxies.len(), found.exceptions.as_deref()), (1, Some("x")));
    }
}
