//! Why there is no driver.

use skiff_driver::DriverKind;
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::{AUTO, DriverError, Finding, Verdict, names};

/// Why there is no driver.
#[derive(Debug, Error)]
pub enum SelectError {
    /// No driver has that name.
    #[error("there is no driver `{name}`; the drivers are {}", names::list())]
    Unknown {
        /// The name.
        name: String,
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
    /// The preferred driver is down, and another one would be slow.
    #[error(
        "the driver {kind} cannot be used, and {instead} would emulate machines on this host, about ten times slower"
    )]
    OnlySlow {
        /// The driver that is installed and does not work.
        kind: DriverKind,
        /// The one that works.
        instead: DriverKind,
        /// Why the first does not work.
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
            Self::Unknown { .. } => Reason::new(
                "DRV_NOT_FOUND",
                ExitCode::DRIVER_NOT_FOUND,
                format!("Use one of: {AUTO}, {}.", names::list()),
            ),
            Self::Unusable { source, .. } => source.reason(),
            Self::OnlySlow { instead, source, .. } => {
                let reason = source.reason();
                let advice = format!("{} Or take the slow one: --driver={instead}", reason.advice);
                Reason { advice: advice.trim_start().to_owned().into(), ..reason }
            }
            Self::NoneFound { findings } => {
                let advice = findings.iter().find_map(|finding| match &finding.verdict {
                    Verdict::Unusable(error) => Some(error.reason().advice).filter(|advice| !advice.is_empty()),
                    Verdict::Usable(_) => None,
                });
                Reason { id: "DRV_NOT_DETECTED", exit: ExitCode::DRIVER_NOT_FOUND, advice: advice.unwrap_or_default() }
            }
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why none of the drivers was chosen. One whose provider is installed and ails is what the user
/// wants to hear of; with nothing installed, the list is.
pub(crate) fn none_of(mut findings: Vec<Finding>) -> SelectError {
    let works = |finding: &&Finding| matches!(finding.verdict, Verdict::Usable(_));
    let instead = findings.iter().find(works).map(|finding| finding.kind);
    let ailing = findings.iter().position(Finding::ails).map(|at| findings.remove(at));
    match (ailing, instead) {
        (Some(Finding { kind, verdict: Verdict::Unusable(source), .. }), Some(instead)) => {
            SelectError::OnlySlow { kind, instead, source }
        }
        (Some(Finding { kind, verdict: Verdict::Unusable(source), .. }), None) => {
            SelectError::Unusable { kind, source }
        }
        _ => SelectError::NoneFound { findings },
    }
}

#[cfg(test)]
mod tests {
    use skiff_driver_docker::Error as DockerError;

    use super::*;

    fn finding(kind: DriverKind, error: DockerError) -> Finding {
        Finding { kind, verdict: Verdict::Unusable(error.into()), emulation: None }
    }

    fn not_installed(kind: DriverKind) -> Finding {
        finding(kind, DockerError::NotInstalled { socket: "/s".into() })
    }

    #[test]
    fn an_ailing_provider_gives_the_reason() {
        let error = none_of(vec![not_installed(DriverKind::Qemu), finding(DriverKind::Docker, DockerError::Rootless)]);
        assert_eq!(error.reason().id, "PROVIDER_DOCKER_ROOTLESS");
    }

    #[test]
    fn nothing_installed_is_told_as_a_list() {
        let error = none_of(vec![not_installed(DriverKind::Docker), not_installed(DriverKind::Qemu)]);
        assert_eq!((error.reason().id, error.reason().exit), ("DRV_NOT_DETECTED", ExitCode::DRIVER_NOT_FOUND));
        assert!(error.reason().advice.contains("Install Docker"));
        assert_eq!(
            error.to_string(),
            "no driver works on this host: docker: docker is not installed: there is no socket at /s; \
             qemu: docker is not installed: there is no socket at /s"
        );
    }
}
