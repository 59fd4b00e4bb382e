//! Whether this Engine can hold nodes.

use std::{path::Path, time::Duration};

use bollard::{
    errors::Error as EngineError,
    models::{SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion},
};
use skiff_driver::{Capabilities, SnapshotKind};

use crate::{DockerDriver, Error, failure};

/// The oldest API with private cgroup namespaces on request: Docker 20.10's.
const OLDEST_API: (u32, u32) = (1, 41);
const OLDEST_API_TEXT: &str = "1.41";

/// How long the Engine may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);

impl DockerDriver {
    pub(crate) async fn capabilities(&self) -> Result<Capabilities, Error> {
        let docker = self.docker.clone().with_timeout(DEADLINE);
        let (version, info) =
            futures_util::try_join!(docker.version(), docker.info()).map_err(|error| self.unanswered(error))?;
        suitable(&version, &info)?;
        Ok(Capabilities {
            shares_host_kernel: self.local,
            routable_nodes: self.local,
            live_resize: true,
            ipv6_ports: true,
            disk_limit: false,
            host_folders: self.local,
            ipv6: !self.local || has_ipv6(Path::new("/proc/sys")),
            snapshots: SnapshotKind::Disk,
            unified_cgroups: info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_2),
            cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        })
    }

    fn unanswered(&self, error: EngineError) -> Error {
        match error {
            EngineError::RequestTimeoutError => Error::Unresponsive { seconds: DEADLINE.as_secs() },
            EngineError::HyperLegacyError { .. } => {
                Error::NotRunning { host: self.host.clone(), source: Box::new(failure::innermost(&error)) }
            }
            other => failure::engine("asking for its version")(other),
        }
    }
}

/// Whether this host's kernel has IPv6: it is no matter if it is switched off for the interfaces that are there,
/// as the Engine switches it on for those it makes. Where it cannot be asked, as an Engine of a Mac runs
/// elsewhere, the Engine has the last word.
fn has_ipv6(kernel: &Path) -> bool {
    !kernel.join("net").exists() || kernel.join("net/ipv6").exists()
}

/// Checks what the Engine tells of itself.
fn suitable(version: &SystemVersion, info: &SystemInfo) -> Result<(), Error> {
    let os = info.os_type.as_deref().unwrap_or("linux");
    if os != "linux" {
        return Err(Error::NotLinux { os: os.to_owned() });
    }
    let found = version.api_version.as_deref().unwrap_or_default();
    if api(found).is_none_or(|found| found < OLDEST_API) {
        return Err(Error::TooOld { found: found.to_owned(), needed: OLDEST_API_TEXT });
    }
    let options = info.security_options.as_deref().unwrap_or_default();
    if options.iter().any(|option| option.contains("name=rootless")) {
        return Err(Error::Rootless);
    }
    Ok(())
}

fn api(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use skiff_report::Diagnose;

    use super::*;

    #[test]
    fn only_a_kernel_that_tells_of_itself_can_lack_ipv6() {
        let kernel = tempfile::tempdir().unwrap();
        assert!(has_ipv6(kernel.path()), "another system");
        std::fs::create_dir(kernel.path().join("net")).unwrap();
        assert!(!has_ipv6(kernel.path()));
        std::fs::create_dir(kernel.path().join("net/ipv6")).unwrap();
        assert!(has_ipv6(kernel.path()));
    }

    fn reason(api: &str, os: &str, security: &str) -> Option<&'static str> {
        let version = SystemVersion { api_version: Some(api.to_owned()), ..Default::default() };
        let info = SystemInfo {
            os_type: Some(os.to_owned()),
            security_options: Some(vec!["name=seccomp,profile=default".to_owned(), security.to_owned()]),
            ..Default::default()
        };
        suitable(&version, &info).err().map(|error| error.reason().id)
    }

    #[tokio::test]
    async fn an_engine_that_does_not_answer_is_told_in_the_systems_words() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let driver = DockerDriver::connect(Some(&format!("tcp://{unused}"))).await.unwrap();
        let error = driver.capabilities().await.unwrap_err();
        let told = skiff_report::chain(&error);
        assert!(told.starts_with(&format!("docker is not running at tcp://{unused}: Connection refused")), "{told}");
    }

    #[test]
    fn only_suitable_engines_are_taken() {
        assert_eq!(reason("1.41", "linux", "name=apparmor"), None);
        assert_eq!(reason("1.54", "linux", "name=userns"), None);
        assert_eq!(reason("2.0", "linux", ""), None);
        assert_eq!(reason("1.40", "linux", ""), Some("PROVIDER_DOCKER_OBSOLETE"));
        assert_eq!(reason("", "linux", ""), Some("PROVIDER_DOCKER_OBSOLETE"));
        assert_eq!(reason("1.41", "windows", ""), Some("PROVIDER_DOCKER_WINDOWS_CONTAINERS"));
        assert_eq!(reason("1.41", "linux", "name=rootless"), Some("PROVIDER_DOCKER_ROOTLESS"));
    }
}
