//! Which driver a cluster gets.

use std::{borrow::Cow, fmt};

use skiff_driver::{Capabilities, Driver, DriverKind};
use skiff_driver_docker::DockerDriver;
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::{AnyDriver, DriverError};

/// What stands for `the first that works`.
pub const AUTO: &str = "auto";

/// All drivers, the preferred one first.
const ORDER: [DriverKind; 3] = [DriverKind::Docker, DriverKind::Qemu, DriverKind::Hyperkit];

/// Other names that people have in their scripts.
const ALIASES: [(&str, DriverKind); 1] = [("qemu2", DriverKind::Qemu)];

/// Where drivers find what they stand on. The command line fills it from flags and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers {
    /// Where Docker is, as in `DOCKER_HOST`; this host's own if absent.
    pub docker_host: Option<String>,
}

/// What was found out about a driver.
#[derive(Debug)]
pub struct Finding {
    /// The driver.
    pub kind: DriverKind,
    /// What about it.
    pub verdict: Verdict,
}

/// Why a driver may be chosen or not.
#[derive(Debug)]
pub enum Verdict {
    /// It works here.
    Usable(Capabilities),
    /// It does not work here.
    Unusable(DriverError),
    /// This build does not have it.
    NotInThisBuild,
}

impl fmt::Display for Finding {
    /// One line for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Usable(can) => {
                let memory = can.memory >> 20;
                write!(f, "{}: works, with {} processors and {memory} MiB of memory", self.kind, can.cpus)
            }
            Verdict::Unusable(error) => write!(f, "{}: {error}", self.kind),
            Verdict::NotInThisBuild => write!(f, "{}: not in this build yet", self.kind),
        }
    }
}

/// A driver that works, and how it came to be chosen.
#[derive(Debug)]
pub struct Choice {
    /// The driver.
    pub driver: AnyDriver,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What was found out about each driver that was looked at; the chosen one is the last.
    pub findings: Vec<Finding>,
}

/// Why there is no driver.
#[derive(Debug, Error)]
pub enum SelectError {
    /// No driver has that name.
    #[error("there is no driver `{name}`; the drivers are {}", names())]
    Unknown {
        /// The name.
        name: String,
    },
    /// The driver is known and not in this build.
    #[error("the driver {kind} is not in this build yet")]
    NotInThisBuild {
        /// The driver.
        kind: DriverKind,
    },
    /// The driver does not work on this host.
    #[error("the driver {kind} cannot be used")]
    Unusable {
        /// The driver.
        kind: DriverKind,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// Nothing that a driver could stand on is installed.
    #[error("no driver works on this host: {}", lines(findings))]
    NoneFound {
        /// What was found out about each.
        findings: Vec<Finding>,
    },
}

impl Diagnose for SelectError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unknown { .. } => {
                Reason::new("DRV_NOT_FOUND", ExitCode::DRIVER_NOT_FOUND, format!("Use one of: {AUTO}, {}.", names()))
            }
            Self::NotInThisBuild { .. } => {
                Reason::new("DRV_UNSUPPORTED", ExitCode::DRIVER_UNSUPPORTED, "Use --driver=docker.")
            }
            Self::Unusable { source, .. } => source.reason(),
            Self::NoneFound { findings } => Reason {
                id: "DRV_NOT_DETECTED",
                exit: ExitCode::DRIVER_NOT_FOUND,
                advice: findings.iter().find_map(advice).unwrap_or_default(),
            },
        }
    }
}

fn advice(finding: &Finding) -> Option<Cow<'static, str>> {
    match &finding.verdict {
        Verdict::Unusable(error) => Some(error.reason().advice),
        _ => None,
    }
}

fn names() -> String {
    ORDER.map(DriverKind::as_str).join(", ")
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The driver of a name; [`AUTO`] is none.
fn parse(name: &str) -> Result<DriverKind, SelectError> {
    let own = ORDER.into_iter().map(|kind| (kind.as_str(), kind));
    let found = own.chain(ALIASES).find(|(known, _)| *known == name);
    found.map(|(_, kind)| kind).ok_or_else(|| SelectError::Unknown { name: name.to_owned() })
}

/// Makes sure that a driver works. The driver itself comes along if it does.
async fn examine(kind: DriverKind, providers: &Providers) -> (Finding, Option<AnyDriver>) {
    let checked = match kind {
        DriverKind::Docker => docker(providers.docker_host.as_deref()).await,
        DriverKind::Qemu | DriverKind::Hyperkit => {
            return (Finding { kind, verdict: Verdict::NotInThisBuild }, None);
        }
    };
    match checked {
        Ok((driver, capabilities)) => (Finding { kind, verdict: Verdict::Usable(capabilities) }, Some(driver)),
        Err(error) => (Finding { kind, verdict: Verdict::Unusable(error) }, None),
    }
}

async fn docker(host: Option<&str>) -> Result<(AnyDriver, Capabilities), DriverError> {
    let driver = DockerDriver::connect(host).await?;
    let capabilities = driver.check().await?;
    Ok((AnyDriver::Docker(driver), capabilities))
}

/// The driver of that name, or for [`AUTO`] the first that works.
///
/// # Errors
/// When there is no such driver, or it does not work here.
pub async fn choose(name: &str, providers: &Providers) -> Result<Choice, SelectError> {
    if name == AUTO {
        return choose_first(providers).await;
    }
    let (finding, driver) = examine(parse(name)?, providers).await;
    match (finding.verdict, driver) {
        (Verdict::Usable(capabilities), Some(driver)) => {
            let finding = Finding { kind: finding.kind, verdict: Verdict::Usable(capabilities) };
            Ok(Choice { driver, capabilities, findings: vec![finding] })
        }
        (Verdict::Unusable(source), _) => Err(SelectError::Unusable { kind: finding.kind, source }),
        _ => Err(SelectError::NotInThisBuild { kind: finding.kind }),
    }
}

/// The driver of that name, unchecked: for what the driver has made already, and for who checks it
/// anyway. For [`AUTO`] the first that works, and what it can do, which had to be found out.
///
/// # Errors
/// When there is no such driver, or it cannot be reached.
pub async fn open(name: &str, providers: &Providers) -> Result<(AnyDriver, Option<Capabilities>), SelectError> {
    if name == AUTO {
        let Choice { driver, capabilities, .. } = choose_first(providers).await?;
        return Ok((driver, Some(capabilities)));
    }
    match parse(name)? {
        kind @ DriverKind::Docker => match DockerDriver::connect(providers.docker_host.as_deref()).await {
            Ok(driver) => Ok((AnyDriver::Docker(driver), None)),
            Err(error) => Err(SelectError::Unusable { kind, source: error.into() }),
        },
        kind @ (DriverKind::Qemu | DriverKind::Hyperkit) => Err(SelectError::NotInThisBuild { kind }),
    }
}

/// Why there is no driver of that name, if there is none; whether it works is another question.
#[must_use]
pub fn unknown(name: &str) -> Option<SelectError> {
    match parse(name) {
        _ if name == AUTO => None,
        Ok(DriverKind::Docker) => None,
        Ok(kind) => Some(SelectError::NotInThisBuild { kind }),
        Err(error) => Some(error),
    }
}

async fn choose_first(providers: &Providers) -> Result<Choice, SelectError> {
    let mut findings = Vec::new();
    for kind in ORDER {
        let (finding, driver) = examine(kind, providers).await;
        let capabilities = match finding.verdict {
            Verdict::Usable(capabilities) => Some(capabilities),
            _ => None,
        };
        findings.push(finding);
        if let (Some(driver), Some(capabilities)) = (driver, capabilities) {
            return Ok(Choice { driver, capabilities, findings });
        }
    }
    Err(none_of(findings))
}

/// Why none of the drivers was chosen. One whose provider is installed and ails is what the user
/// wants to hear of; with nothing installed, the list is.
fn none_of(mut findings: Vec<Finding>) -> SelectError {
    let installed = |finding: &Finding| match &finding.verdict {
        Verdict::Unusable(error) => error.reason().exit != ExitCode::PROVIDER_NOT_FOUND,
        _ => false,
    };
    match findings.iter().position(installed).map(|at| findings.remove(at)) {
        Some(Finding { kind, verdict: Verdict::Unusable(source) }) => SelectError::Unusable { kind, source },
        _ => SelectError::NoneFound { findings },
    }
}

/// Looks at every driver, in order of preference: the whole report behind [`choose`].
pub async fn survey(providers: &Providers) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in ORDER {
        findings.push(examine(kind, providers).await.0);
    }
    findings
}

#[cfg(test)]
mod tests {
    use skiff_driver_docker::Error;

    use super::*;

    fn nowhere() -> Providers {
        Providers { docker_host: Some("unix:///nonexistent/docker.sock".to_owned()) }
    }

    fn finding(error: Error) -> Finding {
        Finding { kind: DriverKind::Docker, verdict: Verdict::Unusable(error.into()) }
    }

    #[tokio::test]
    async fn an_unknown_driver_is_answered_with_the_list() {
        let error = choose("vagrant", &nowhere()).await.unwrap_err();
        assert_eq!((error.reason().id, error.reason().exit), ("DRV_NOT_FOUND", ExitCode::DRIVER_NOT_FOUND));
        assert_eq!(error.to_string(), "there is no driver `vagrant`; the drivers are docker, qemu, hyperkit");
    }

    #[tokio::test]
    async fn a_driver_to_come_is_told_from_an_unknown_one() {
        for name in ["qemu", "qemu2", "hyperkit"] {
            let reason = choose(name, &nowhere()).await.unwrap_err().reason();
            assert_eq!((reason.id, reason.exit), ("DRV_UNSUPPORTED", ExitCode::DRIVER_UNSUPPORTED), "{name}");
        }
    }

    #[tokio::test]
    async fn opening_asks_no_more_than_whether_it_is_there() {
        let error = open("docker", &nowhere()).await.unwrap_err();
        assert!(matches!(error, SelectError::Unusable { kind: DriverKind::Docker, .. }), "{error}");
        for name in ["qemu", "vagrant"] {
            let expected = unknown(name).unwrap().reason();
            assert_eq!(open(name, &nowhere()).await.unwrap_err().reason(), expected);
        }
        assert!(unknown("docker").is_none() && unknown(AUTO).is_none());
    }

    #[tokio::test]
    async fn a_driver_that_was_asked_for_is_not_replaced() {
        let error = choose("docker", &nowhere()).await.unwrap_err();
        assert!(matches!(error, SelectError::Unusable { kind: DriverKind::Docker, .. }), "{error}");
    }

    #[tokio::test]
    async fn the_survey_tells_about_every_driver() {
        let kinds: Vec<_> = survey(&nowhere()).await.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, ORDER);
    }

    #[test]
    fn an_ailing_provider_gives_the_reason() {
        let qemu = Finding { kind: DriverKind::Qemu, verdict: Verdict::NotInThisBuild };
        let error = none_of(vec![finding(Error::Rootless), qemu]);
        assert_eq!(error.reason().id, "PROVIDER_DOCKER_ROOTLESS");
    }

    #[test]
    fn nothing_installed_is_told_as_a_list() {
        let qemu = Finding { kind: DriverKind::Qemu, verdict: Verdict::NotInThisBuild };
        let error = none_of(vec![finding(Error::NotInstalled { socket: "/s".into() }), qemu]);
        assert_eq!((error.reason().id, error.reason().exit), ("DRV_NOT_DETECTED", ExitCode::DRIVER_NOT_FOUND));
        assert!(error.reason().advice.contains("Install Docker"));
        assert_eq!(
            error.to_string(),
            "no driver works on this host: docker: docker is not installed: there is no socket at /s; \
             qemu: not in this build yet"
        );
    }

    #[test]
    fn a_finding_is_one_line() {
        let capabilities = Capabilities {
            shares_host_kernel: true,
            unified_cgroups: true,
            routable_nodes: true,
            live_resize: true,
            disk_limit: false,
            cpus: 2,
            memory: 24 << 30,
        };
        let finding = Finding { kind: DriverKind::Docker, verdict: Verdict::Usable(capabilities) };
        assert_eq!(finding.to_string(), "docker: works, with 2 processors and 24576 MiB of memory");
    }
}
