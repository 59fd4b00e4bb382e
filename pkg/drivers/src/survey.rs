//! Which drivers work on this host, and which of them `auto` takes.

use std::{fmt, time::Duration};

use skiff_driver::{Capabilities, Driver, DriverKind};
use skiff_report::{Diagnose, ExitCode, chain};

use crate::{AUTO, AnyDriver, DriverError, Providers, SelectError, error::none_of, names};

/// How long a driver may take to say how it is. Longer than what drivers wait themselves, which
/// know better what hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// What was found out about a driver.
#[derive(Debug)]
pub struct Finding {
    /// The driver.
    pub kind: DriverKind,
    /// What about it.
    pub verdict: Verdict,
    /// Why its machines are emulated here, if they are: they work, and slowly.
    pub emulation: Option<String>,
}

impl Finding {
    /// True if what the driver stands on is installed, and does not work.
    pub(crate) fn ails(&self) -> bool {
        matches!(&self.verdict, Verdict::Unusable(error) if installed(error))
    }
}

/// Whether a driver that does not work is there at all.
fn installed(error: &DriverError) -> bool {
    ![ExitCode::PROVIDER_NOT_FOUND, ExitCode::DRIVER_UNSUPPORTED].contains(&error.reason().exit)
}

/// The place of the driver that `auto` takes: the first that works. One that only emulates does not
/// stand in for one that is installed and ails: whoever has Docker and finds it down wants it up again,
/// not machines ten times slower.
pub(crate) fn taken(findings: &[Finding]) -> Option<usize> {
    let first = findings.iter().position(|finding| matches!(finding.verdict, Verdict::Usable(_)))?;
    let better = findings[..first].iter().any(Finding::ails);
    (findings[first].emulation.is_none() || !better).then_some(first)
}

/// Why a driver may be chosen or not.
#[derive(Debug)]
pub enum Verdict {
    /// It works here.
    Usable(Capabilities),
    /// It does not work here.
    Unusable(DriverError),
}

impl fmt::Display for Finding {
    /// One line for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Usable(can) => {
                let memory = can.memory >> 20;
                write!(f, "{}: works, with {} processors and {memory} MiB of memory", self.kind, can.cpus)?;
                match &self.emulation {
                    Some(why) => write!(f, "; machines are emulated, about ten times slower: {why}"),
                    None => Ok(()),
                }
            }
            Verdict::Unusable(error) => write!(f, "{}: {}", self.kind, chain(error)),
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
    /// The drivers that would have been preferred and do not work.
    pub passed_over: Vec<Finding>,
}

/// What was found out about every driver, in order of preference.
#[derive(Debug)]
pub struct Survey {
    /// The findings.
    pub findings: Vec<Finding>,
    drivers: Vec<AnyDriver>,
}

/// Looks at every driver: the whole report behind `auto`.
pub async fn survey(providers: &Providers) -> Survey {
    let [one, two, three] = names::ORDER;
    let (one, two, three) = tokio::join!(examine(one, providers), examine(two, providers), examine(three, providers));
    let (mut findings, mut drivers) = (Vec::new(), Vec::new());
    for (finding, driver) in [one, two, three] {
        findings.push(finding);
        drivers.extend(driver);
    }
    Survey { findings, drivers }
}

impl Survey {
    /// The driver that `auto` takes: the first that works.
    #[must_use]
    pub fn auto(&self) -> Option<DriverKind> {
        taken(&self.findings).map(|at| self.findings[at].kind)
    }

    /// Why `auto` does not take a driver; `None` for the one it takes.
    #[must_use]
    pub fn rejection(&self, finding: &Finding) -> Option<String> {
        match (&finding.verdict, self.auto()) {
            (Verdict::Unusable(error), _) => Some(chain(error)),
            (Verdict::Usable(_), Some(taken)) if taken != finding.kind => Some(format!("{taken} is preferred")),
            (Verdict::Usable(_), None) => Some(format!(
                "machines would be emulated, about ten times slower: `--driver={}` takes it all the same",
                finding.kind
            )),
            (Verdict::Usable(_), _) => None,
        }
    }

    /// What [`choose`](crate::choose()) would return, without looking again.
    ///
    /// # Errors
    /// As [`choose`](crate::choose()).
    pub fn choose(mut self, name: &str) -> Result<Choice, SelectError> {
        let kind = if name == AUTO { self.auto() } else { Some(names::parse(name)?) };
        let at = kind.and_then(|kind| self.findings.iter().position(|finding| finding.kind == kind));
        let Some(at) = at else { return Err(none_of(self.findings)) };
        let Finding { kind, verdict, .. } = self.findings.remove(at);
        let driver = self.drivers.into_iter().find(|driver| driver.kind() == kind);
        self.findings.truncate(if name == AUTO { at } else { 0 });
        match (verdict, driver) {
            (Verdict::Usable(capabilities), Some(driver)) => {
                Ok(Choice { driver, capabilities, passed_over: self.findings })
            }
            (Verdict::Unusable(source), _) => Err(SelectError::Unusable { kind, source }),
            // A driver that works was made; there is no finding without it.
            (Verdict::Usable(_), None) => Err(none_of(self.findings)),
        }
    }
}

/// Makes sure that a driver works. The driver itself comes along if it does.
pub(crate) async fn examine(kind: DriverKind, providers: &Providers) -> (Finding, Option<AnyDriver>) {
    let checking = async {
        let driver = providers.connect(kind).await?;
        let capabilities = driver.check().await?;
        let emulation = driver.emulation().await;
        Ok((driver, capabilities, emulation))
    };
    let late = || Err(DriverError::Late { kind, seconds: DEADLINE.as_secs() });
    match tokio::time::timeout(DEADLINE, checking).await.unwrap_or_else(|_| late()) {
        Ok((driver, capabilities, emulation)) => {
            (Finding { kind, verdict: Verdict::Usable(capabilities), emulation }, Some(driver))
        }
        Err(error) => (Finding { kind, verdict: Verdict::Unusable(error), emulation: None }, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skiff_driver_docker::Error as DockerError;

    fn capabilities() -> Capabilities {
        Capabilities {
            shares_host_kernel: true,
            unified_cgroups: true,
            routable_nodes: true,
            live_resize: true,
            ipv6_ports: true,
            disk_limit: false,
            host_folders: true,
            ipv6: true,
            snapshots: skiff_driver::SnapshotKind::None,
            cpus: 2,
            memory: 24 << 30,
        }
    }

    fn found(kind: DriverKind, works: bool) -> Finding {
        let verdict =
            if works { Verdict::Usable(capabilities()) } else { Verdict::Unusable(DockerError::Rootless.into()) };
        Finding { kind, verdict, emulation: None }
    }

    fn works(docker: bool, qemu: bool) -> Survey {
        let findings = vec![found(DriverKind::Docker, docker), found(DriverKind::Qemu, qemu)];
        Survey { findings, drivers: Vec::new() }
    }

    #[test]
    fn a_finding_is_one_line() {
        let text = found(DriverKind::Docker, true).to_string();
        assert_eq!(text, "docker: works, with 2 processors and 24576 MiB of memory");
        let slow = Finding { emulation: Some("no /dev/kvm".to_owned()), ..found(DriverKind::Qemu, true) };
        assert!(slow.to_string().ends_with("; machines are emulated, about ten times slower: no /dev/kvm"), "{slow}");
    }

    #[test]
    fn auto_takes_the_first_that_works_and_says_why_not_the_others() {
        let rejections = |survey: &Survey| {
            survey.findings.iter().map(|finding| survey.rejection(finding).unwrap_or_default()).collect::<Vec<_>>()
        };
        let both = works(true, true);
        assert_eq!(both.auto(), Some(DriverKind::Docker));
        assert_eq!(rejections(&both), ["", "docker is preferred"]);
        let second = works(false, true);
        assert_eq!(second.auto(), Some(DriverKind::Qemu));
        assert_eq!(rejections(&second), ["docker runs rootless, nodes need an Engine that runs as root", ""]);
        assert_eq!(works(false, false).auto(), None);
    }

    #[test]
    fn auto_does_not_emulate_where_docker_is_only_down() {
        let emulated = |docker| {
            let mut survey = works(docker, true);
            survey.findings[1].emulation = Some("there is no /dev/kvm".to_owned());
            survey
        };
        assert_eq!(emulated(true).auto(), Some(DriverKind::Docker));
        let down = emulated(false);
        assert_eq!(down.auto(), None);
        assert!(down.rejection(&down.findings[1]).unwrap().contains("--driver=qemu"));
        let error = down.choose(AUTO).unwrap_err();
        assert_eq!(error.reason().id, "PROVIDER_DOCKER_ROOTLESS");
        assert!(error.reason().advice.ends_with("--driver=qemu"), "{}", error.reason().advice);
        let mut absent = emulated(false);
        absent.findings[0].verdict = Verdict::Unusable(DockerError::NotInstalled { socket: "/s".into() }.into());
        assert_eq!(absent.auto(), Some(DriverKind::Qemu));
    }

    #[test]
    fn a_driver_that_was_asked_for_is_not_replaced() {
        let error = works(false, true).choose("docker").unwrap_err();
        assert!(matches!(error, SelectError::Unusable { kind: DriverKind::Docker, .. }), "{error}");
        assert_eq!(works(true, true).choose("vagrant").unwrap_err().reason().id, "DRV_NOT_FOUND");
        assert_eq!(works(false, false).choose(AUTO).unwrap_err().reason().id, "PROVIDER_DOCKER_ROOTLESS");
    }

    #[tokio::test]
    async fn the_survey_tells_about_every_driver() {
        let providers =
            Providers { docker_host: Some("unix:///nonexistent/docker.sock".to_owned()), ..Providers::default() };
        let kinds: Vec<_> = survey(&providers).await.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, names::ORDER);
    }
}
