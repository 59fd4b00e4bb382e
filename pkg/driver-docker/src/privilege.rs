//! Whether the host lets Docker start privileged containers.
//!
//! `--privileged` gives a container every capability the kernel knows, which fails when the Engine
//! itself lacks one. Nodes then get all that the Engine has.

use std::fs;

use bollard::{
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions},
};
use skiff_config::ClusterName;

use crate::{DockerDriver, Error, failure, labels};

/// Names of the kernel's capabilities, by number, as the Engine takes them.
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a node's container may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// `--privileged` works.
    Full,
    /// All capabilities but these can be given.
    Without(Vec<&'static str>),
}

impl Privilege {
    /// What an Engine with a set of capabilities can give, on a kernel whose newest one is `last`.
    pub(crate) fn of(bounding: u64, last: u32) -> Self {
        let missing = |number: &usize| *number <= last as usize && bounding & (1 << number) == 0;
        let missing: Vec<_> = (0..NAMES.len()).filter(missing).map(|number| NAMES[number]).collect();
        if missing.is_empty() { Self::Full } else { Self::Without(missing) }
    }

    /// What a process of this host can give; `None` if it cannot be seen from here.
    pub(crate) fn of_process(pid: i32) -> Option<Self> {
        let bounding = bounding(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok()?.trim().parse().ok()?;
        Some(Self::of(bounding, last))
    }
}

/// Reads the bounding set of capabilities from `/proc/PID/status`.
fn bounding(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

impl DockerDriver {
    /// What this Engine can give. An Engine that cannot be looked at, as it runs on another host or
    /// in another namespace, is tried once with a short-lived container of the image.
    pub(crate) async fn privilege(&self, cluster: &ClusterName, image: &str) -> Result<&Privilege, Error> {
        self.privilege
            .get_or_try_init(|| async {
                match self.engine_pid.and_then(Privilege::of_process) {
                    Some(privilege) => Ok(privilege),
                    None => self.try_privileged(cluster, image).await,
                }
            })
            .await
    }

    async fn try_privileged(&self, cluster: &ClusterName, image: &str) -> Result<Privilege, Error> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/bin/true".to_owned()]),
            network_disabled: Some(true),
            labels: Some([(labels::PROBE.to_owned(), cluster.to_string())].into()),
            host_config: Some(HostConfig { privileged: Some(true), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let docker = self.docker.clone();
        let making = async move { docker.create_container(None::<CreateContainerOptions>, body).await };
        let made = self.making.finish(making).await;
        let id = made.map_err(failure::engine("trying a privileged container"))?.id;
        let started = self.docker.start_container(&id, None::<StartContainerOptions>).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.docker.remove_container(&id, Some(force)).await;
        removed.map_err(failure::engine("removing the privileged container that was tried"))?;
        match started {
            Err(error) if failure::is_privilege(&error) => Ok(Privilege::Without(vec!["SYS_RESOURCE"])),
            // Any other failure will show again, in words about the node, when the node starts.
            _ => Ok(Privilege::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_with_all_capabilities_is_privileged() {
        assert_eq!(Privilege::of(0x1ff_ffff_ffff, 40), Privilege::Full);
        assert_eq!(Privilege::of(0x3f_ffff_ffff, 37), Privilege::Full);
        // A kernel newer than this table.
        assert_eq!(Privilege::of(0x3ff_ffff_ffff, 41), Privilege::Full);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(Privilege::of(0x1ff_feff_ffff, 40), Privilege::Without(vec!["SYS_RESOURCE"]));
        assert_eq!(Privilege::of(0x1ff_fefe_ffff, 40), Privilege::Without(vec!["SYS_MODULE", "SYS_RESOURCE"]));
    }

    #[test]
    fn the_bounding_set_is_read_from_the_status_of_a_process() {
        let status =
            "Name:\tdockerd\nCapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n";
        assert_eq!(bounding(status), Some(0x1ff_feff_ffff));
        assert_eq!(bounding("Name:\tdockerd\n"), None);
    }
}
