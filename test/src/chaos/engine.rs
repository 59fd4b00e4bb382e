//! A Docker Engine that may be killed.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::process;
use crate::{Finished, eventually};

/// The Engine of a world; nobody else uses it.
pub(super) struct Engine {
    data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// Its containers, whenever it was killed: they may leave cgroups that nobody else removes.
    killed_with: BTreeSet<OsString>,
}

impl Engine {
    /// Starts one that keeps its data in a folder.
    pub(super) fn start(data: &Path, log: &Path) -> Self {
        let (data, log) = (data.to_owned(), log.to_owned());
        let mut engine = Self { data, log, child: None, killed_with: BTreeSet::new() };
        engine.revive();
        engine
    }

    /// Starts it again unless it runs, as a service manager would, and waits until it answers.
    pub(super) fn revive(&mut self) {
        if self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
            let log = fs::File::options().create(true).append(true).open(&self.log).expect("the Engine's log");
            let errors = log.try_clone().expect("the Engine's log");
            let mut command = Command::new("dockerd");
            command.arg("--data-root").arg(&self.data).stdin(Stdio::null()).stdout(log).stderr(errors);
            self.child = Some(command.spawn().expect("dockerd"));
        }
        eventually("an answer of dockerd", || {
            let asked = Finished::of(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
            if asked.code == 0 { Ok(()) } else { Err(asked.stderr) }
        });
    }

    /// Kills it; containers go on.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.killed_with.extend(names(&self.data.join("containers")));
    }

    /// Ends it in order and starts it again.
    pub(super) fn restart(&mut self) {
        self.end();
        self.revive();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Finished::of(Command::new("kill").arg(child.id().to_string()));
            let _ = child.wait();
        }
    }

    /// Kills it with all it has ever started, as a host that loses power does, and forgets what a
    /// host does not keep over a boot.
    pub(super) fn kill_all(&mut self) {
        self.kill();
        eventually("the end of all containers", || {
            let left: Vec<_> = process::all().into_iter().filter(is_the_engines).collect();
            left.iter().for_each(process::Process::kill);
            left.iter().for_each(process::Process::thaw);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        for folder in ["/run/docker", "/run/containerd"] {
            unmount_below(folder);
            let _ = fs::remove_dir_all(folder);
        }
        self.remove_cgroups();
        let _ = fs::remove_file("/run/docker.pid");
        let _ = fs::remove_file("/run/docker.sock");
        let _ = Finished::of(Command::new("sh").args(["-c", FRESH_NETWORK])).ok();
    }

    /// Removes the cgroups of all containers that it was killed with: no boot brings them back, and runc cannot
    /// make one anew that has others below it.
    fn remove_cgroups(&self) {
        let hierarchies = Path::new("/sys/fs/cgroup");
        let roots = names(hierarchies).map(|name| hierarchies.join(name)).chain([hierarchies.to_owned()]);
        for root in roots {
            for id in &self.killed_with {
                remove_cgroup(&root.join("docker").join(id));
            }
        }
    }
}

fn names(folder: &Path) -> impl Iterator<Item = OsString> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name())
}

/// Removes a cgroup with all below it. One that somebody is in stays.
fn remove_cgroup(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| remove_cgroup(&entry.path()));
    let _ = fs::remove_dir(path);
}

/// Takes away what a boot would not bring back.
const FRESH_NETWORK: &str = "iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X
ip -o link | sed -n 's/^[0-9]*: \\(docker0\\|br-[0-9a-f]*\\|veth[0-9a-f]*\\)[@:].*/\\1/p' |
    while read -r link; do ip link delete \"$link\"; done; true";

fn is_the_engines(process: &process::Process) -> bool {
    let programs = ["containerd", "containerd-shim-runc-v2", "docker-proxy", "runc", "docker-init"];
    process.container.is_some() || programs.contains(&process.program())
}

fn unmount_below(folder: &str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(folder));
    let mut paths: Vec<&str> = below.collect();
    paths.reverse();
    for path in paths {
        let _ = Finished::of(Command::new("umount").args(["-l", path]));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
        self.remove_cgroups();
    }
}
