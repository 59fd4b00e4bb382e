//! What `/proc` and the cgroups tell about the processes of a node. Reading them all takes root.

use std::{collections::BTreeMap, fs, path::PathBuf};

const KIB: u64 = 1024;

/// Bytes a process had at most so far.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    kib_field(&read(pid, "status")?, "VmHWM")
}

/// Bytes of a process that are in memory now.
pub(crate) fn resident_memory(pid: u32) -> Option<u64> {
    kib_field(&read(pid, "status")?, "VmRSS")
}

/// A process and all that descend from it.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = pid.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = read(pid, "stat").and_then(|stat| parent(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut next) = (vec![root], 0);
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Bytes that the processes use, shared pages counted in parts.
pub(crate) fn proportional_memory(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|&pid| kib_field(&read(pid, "smaps_rollup")?, "Pss")).sum()
}

/// The agents among the processes: what each does, and its resident bytes.
pub(crate) fn agents(pids: &[u32]) -> Vec<(String, u64)> {
    let agent = |&pid: &u32| Some((role(&read(pid, "cmdline")?)?, kib_field(&read(pid, "status")?, "VmRSS")?));
    pids.iter().filter_map(agent).collect()
}

/// Seconds of processor time that the container of this process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let cgroups = read(pid, "cgroup").ok_or_else(|| format!("process {pid} is gone"))?;
    let (file, per_second) = cpu_account(&cgroups).ok_or("the node has no cgroup that counts processor time")?;
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let number = text.strip_prefix("usage_usec ").unwrap_or(&text).lines().next().unwrap_or_default();
    number.parse::<f64>().map(|used| used / per_second).map_err(|_| format!("{}: {text:?}", file.display()))
}

fn read(pid: u32, file: &str) -> Option<String> {
    // A program may call itself by bytes that are no text.
    fs::read(format!("/proc/{pid}/{file}")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of a line such as `Pss:   12 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * KIB)
}

/// The parent in `/proc/PID/stat`, where the program's name may hold blanks and brackets.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The first argument of an agent's command line.
fn role(command_line: &str) -> Option<String> {
    let mut words = command_line.split('\0');
    let program = words.next()?;
    (program.rsplit('/').next() == Some("skiff-agent")).then(|| words.next().unwrap_or_default().to_owned())
}

/// The file that counts a container's processor time, and how many of its units are a second.
fn cpu_account(cgroups: &str) -> Option<(PathBuf, f64)> {
    let path = |controller: &str| {
        let line = |line: &str| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            // systemd moves itself one level down; the container is what is above.
            let path = path.strip_suffix("/init.scope").unwrap_or(path);
            controllers.split(',').any(|name| name == controller).then(|| path.to_owned())
        };
        cgroups.lines().find_map(line)
    };
    let old = path("cpuacct").map(|path| (format!("/sys/fs/cgroup/cpuacct{path}/cpuacct.usage").into(), 1e9));
    old.or_else(|| path("").map(|path| (format!("/sys/fs/cgroup{path}/cpu.stat").into(), 1e6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "00400000-7ffe00 ---p 00000000 00:00 0    [rollup]\nRss:     2048 kB\nPss_Dirty:   1 kB\nPss:      700 kB\n";
        assert_eq!(kib_field(text, "Pss"), Some(700 * KIB));
        assert_eq!(kib_field(text, "Rss"), Some(2048 * KIB));
        assert_eq!(kib_field(text, "Swap"), None);
        assert_eq!(kib_field("Pss: many kB\n", "Pss"), None);
    }

    #[test]
    fn a_programs_name_does_not_confuse_the_search_for_its_parent() {
        assert_eq!(parent("12 (a) 3 (b)) S 7 12 12"), Some(7));
        assert_eq!(parent("12 (half"), None);
    }

    #[test]
    fn agents_are_told_by_their_program() {
        assert_eq!(role("/skiff-agent\0dns\0--listen=1.2.3.4\0").as_deref(), Some("dns"));
        assert_eq!(role("/usr/bin/kubelet\0skiff-agent\0"), None);
        assert_eq!(role(""), None);
    }

    #[test]
    fn processor_time_is_counted_where_the_host_counts_it() {
        let hybrid = "9:name=systemd:/docker/a/init.scope\n2:cpu,cpuacct:/docker/a\n0::/docker/a/init.scope\n";
        assert_eq!(cpu_account(hybrid), Some(("/sys/fs/cgroup/cpuacct/docker/a/cpuacct.usage".into(), 1e9)));
        let unified = "0::/system.slice/docker-a.scope/init.scope\n";
        assert_eq!(cpu_account(unified), Some(("/sys/fs/cgroup/system.slice/docker-a.scope/cpu.stat".into(), 1e6)));
        assert_eq!(cpu_account(""), None);
    }

    #[test]
    fn a_tree_holds_its_root_and_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = tree(std::process::id());
        assert!(found.contains(&std::process::id()) && found.contains(&child.id()));
        assert!(proportional_memory(&[std::process::id()]) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
