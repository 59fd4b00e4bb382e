//! Processes of the world, found by what they are and where they run.

use std::{fs, path::PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A process that runs.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: i32,
    /// Its command line, words apart by one space.
    pub(super) line: String,
    /// The container that it is in, if it is in one.
    pub(super) container: Option<String>,
}

impl Process {
    fn read(id: i32) -> Option<Self> {
        let file = |name: &str| fs::read(PathBuf::from(format!("/proc/{id}/{name}"))).ok();
        let line = String::from_utf8_lossy(&file("cmdline")?).trim_end_matches('\0').replace('\0', " ");
        let groups = String::from_utf8_lossy(&file("cgroup")?).into_owned();
        // One that has ended has no command line any more.
        (!line.is_empty()).then(|| Self { id, line, container: container(&groups) })
    }

    /// The program's name without its folder.
    pub(super) fn program(&self) -> &str {
        let path = self.line.split(' ').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or(path)
    }

    /// Ends it at once. One that is gone does not mind.
    pub(super) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.id) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Thaws its container where cgroup v1 freezes: there nothing ends a frozen process.
    pub(super) fn thaw(&self) {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.id)).unwrap_or_default();
        if let Some(group) = self.container.as_deref().and_then(|container| freezer(&groups, container)) {
            let _ = fs::write(format!("/sys/fs/cgroup/freezer{group}/freezer.state"), "THAWED");
        }
    }
}

/// The group of a container that cgroup v1 freezes as a whole, from a list of cgroups.
fn freezer<'a>(groups: &'a str, container: &str) -> Option<&'a str> {
    let group = groups.lines().find_map(|line| line.split_once(":freezer:"))?.1;
    let end = group.find(container)?.checked_add(container.len())?;
    // On a host with systemd the group is called `docker-ID.scope`.
    let end = group[end..].find('/').map_or(group.len(), |slash| end.saturating_add(slash));
    group.get(..end)
}

/// The id of the node's container in a list of cgroups such as `4:memory:/docker/ID/kubepods/…`.
fn container(groups: &str) -> Option<String> {
    let id = groups.split("docker").nth(1)?.trim_start_matches(['/', '-']);
    let id: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
    (id.len() == 64).then_some(id)
}

/// All processes of the world.
pub(super) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect()
}

/// Those that run a program.
pub(super) fn running(program: &str) -> Vec<Process> {
    all().into_iter().filter(|process| process.program() == program).collect()
}

/// The shims that keep a container each, also one that only begins to.
pub(super) fn shims() -> Vec<Process> {
    // Another one clears away each container that has ended.
    running("containerd-shim-runc-v2").into_iter().filter(|shim| !shim.line.ends_with(" delete")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_of_a_process_is_told_on_either_kind_of_host() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(container(&format!("3:cpu:/docker/{id}/kubepods/x\n")).as_deref(), Some(&*id));
        assert_eq!(container(&format!("0::/system.slice/docker-{id}.scope\n")).as_deref(), Some(&*id));
        assert_eq!(container("0::/user.slice\n"), None);
    }

    #[test]
    fn what_is_frozen_is_the_whole_container() {
        let id = "0123456789abcdef".repeat(4);
        let groups = format!("4:memory:/docker/{id}\n3:freezer:/docker/{id}/kubepods/x\n");
        assert_eq!(freezer(&groups, &id), Some(&*format!("/docker/{id}")));
        let scope = format!("/system.slice/docker-{id}.scope");
        assert_eq!(freezer(&format!("3:freezer:{scope}/kubepods\n"), &id), Some(&*scope));
        assert_eq!(freezer(&format!("0::{scope}\n"), &id), None);
    }
}
