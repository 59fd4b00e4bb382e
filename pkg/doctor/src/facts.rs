//! What the host says of itself.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use skiff_report::Reason;

/// Where the host says it; elsewhere in tests.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// `/etc`.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), cgroup: "/sys/fs/cgroup".into(), etc: "/etc".into() }
    }
}

/// A folder that fills up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// What it is for, as in `disk-home`.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Every node takes a share of it.
    pub shared_by_nodes: bool,
    /// What makes room in it.
    pub fix: String,
}

/// What a file system has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub free: u64,
    /// Files; absent where the file system makes them as needed.
    pub free_inodes: Option<u64>,
}

/// What the environment says of proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and their lower-case forms: name and value.
    pub proxies: Vec<(String, String)>,
    /// `NO_PROXY` or `no_proxy`.
    pub exceptions: Option<String>,
    /// `SSL_CERT_FILE`.
    pub authorities: Option<PathBuf>,
}

/// A driver and whether it works.
#[derive(Debug, Clone)]
pub struct DriverFact {
    /// Its name.
    pub name: String,
    /// What it can do, or why it does not work.
    pub health: Result<String, (String, Reason)>,
}

/// Everything the checks look at. What could not be read is absent, and not judged.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub(crate) inotify_instances: Option<u64>,
    pub(crate) inotify_used: u64,
    pub(crate) inotify_watches: Option<u64>,
    pub(crate) files: Option<(u64, u64)>,
    pub(crate) threads: Option<(u64, u64)>,
    pub(crate) controllers: Option<Vec<String>>,
    pub(crate) unified: bool,
    pub(crate) memory: Option<(u64, u64)>,
    pub(crate) cpus: u64,
    pub(crate) ip_forward: Option<bool>,
    pub(crate) bridge_filter: Option<bool>,
    pub(crate) overlay: Option<bool>,
    pub(crate) local_ports: Option<(u64, u64)>,
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) folders: Vec<(Folder, Option<Space>)>,
    pub(crate) now: Option<SystemTime>,
    pub(crate) engine_clock: Option<SystemTime>,
    pub(crate) proxies: Proxies,
    pub(crate) drivers: Vec<DriverFact>,
}

/// Where distributions keep the authorities that programs trust.
const AUTHORITIES: [&str; 4] =
    ["ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt", "ssl/ca-bundle.pem", "ssl/cert.pem"];

impl Facts {
    /// Reads the host.
    #[must_use]
    pub fn gather(roots: &Roots, folders: Vec<Folder>, proxies: Proxies, drivers: Vec<DriverFact>) -> Self {
        let proc = |path: &str| number(&roots.proc.join(path));
        let linux = roots.proc.join("sys").is_dir();
        let (controllers, unified) = controllers(roots);
        let bundle = AUTHORITIES.iter().map(|path| roots.etc.join(path));
        Self {
            inotify_instances: proc("sys/fs/inotify/max_user_instances"),
            inotify_used: inotify_used(&roots.proc),
            inotify_watches: proc("sys/fs/inotify/max_user_watches"),
            files: files(&roots.proc),
            threads: threads(roots),
            controllers,
            unified,
            memory: memory(&roots.proc),
            cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            ip_forward: proc("sys/net/ipv4/ip_forward").map(|value| value != 0),
            bridge_filter: linux.then(|| proc("sys/net/bridge/bridge-nf-call-iptables") == Some(1)),
            overlay: word(&roots.proc.join("filesystems")).map(|text| text.contains("overlay")),
            local_ports: pair(&roots.proc.join("sys/net/ipv4/ip_local_port_range")),
            authorities: proxies.authorities.clone().into_iter().chain(bundle).find(|path| path.is_file()),
            folders: folders
                .into_iter()
                .map(|folder| {
                    let space = space(&folder.path);
                    (folder, space)
                })
                .collect(),
            now: Some(SystemTime::now()),
            engine_clock: None,
            proxies,
            drivers,
        }
    }

    /// Adds what time it is where machines are made, just now.
    #[must_use]
    pub fn with_engine_clock(self, clock: Option<SystemTime>) -> Self {
        Self { engine_clock: clock, now: Some(SystemTime::now()), ..self }
    }
}

fn word(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(path: &Path) -> Option<u64> {
    word(path)?.parse().ok()
}

fn pair(path: &Path) -> Option<(u64, u64)> {
    let text = word(path)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Open files: how many there are and how many there may be.
fn files(proc: &Path) -> Option<(u64, u64)> {
    let text = word(&proc.join("sys/fs/file-nr"))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    Some((*numbers.first()?, *numbers.get(2)?))
}

/// Threads: how many there are and how many there may be.
fn threads(roots: &Roots) -> Option<(u64, u64)> {
    let load = word(&roots.proc.join("loadavg"))?;
    let used = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    let limits = ["sys/kernel/pid_max", "sys/kernel/threads-max"].map(|path| number(&roots.proc.join(path)));
    // Present where skiff itself is in a container.
    let own = number(&roots.cgroup.join("pids.max")).or_else(|| number(&roots.cgroup.join("pids/pids.max")));
    Some((used, limits.into_iter().chain([own]).flatten().min()?))
}

/// The cgroup controllers that containers can have, and whether they are those of version 2.
fn controllers(roots: &Roots) -> (Option<Vec<String>>, bool) {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    if let Some(text) = word(&roots.cgroup.join("cgroup.controllers")) {
        return (Some(words(text)), true);
    }
    let Some(table) = word(&roots.proc.join("cgroups")) else { return (None, false) };
    let enabled = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(3) == Some(&"1")).then(|| columns[0].to_owned())
    };
    (Some(table.lines().filter(|line| !line.starts_with('#')).filter_map(enabled).collect()), false)
}

/// Memory: how much there is for new programs, and how much in all; bytes.
fn memory(proc: &Path) -> Option<(u64, u64)> {
    let text = word(&proc.join("meminfo"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some((field("MemAvailable")?, field("MemTotal")?))
}

/// The inotify instances in use, so far as this user may see them.
fn inotify_used(proc: &Path) -> u64 {
    let Ok(processes) = fs::read_dir(proc) else { return 0 };
    let of_process = |path: PathBuf| {
        let files = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        files.filter(|file| fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().contains("inotify"))).count()
    };
    let numbered = processes.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    numbered.map(|entry| of_process(entry.path()) as u64).sum()
}

/// What is left where a folder is, or will be.
fn space(folder: &Path) -> Option<Space> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        free_inodes: (stat.f_files > 0).then_some(stat.f_favail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Facts) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let at = |name: &str| folder.path().join(name);
        let roots = Roots { proc: at("proc"), cgroup: at("cgroup"), etc: at("etc") };
        let facts = Facts::gather(&roots, Vec::new(), Proxies::default(), Vec::new());
        (folder, facts)
    }

    #[test]
    fn a_host_with_cgroup_v1_is_read() {
        let (_folder, facts) = host(&[
            ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t2\t1\t0\n"),
            ("proc/loadavg", "0.1 0.2 0.3 2/640 99\n"),
            ("proc/sys/kernel/pid_max", "32768\n"),
            ("proc/sys/fs/file-nr", "3053\t0\t100000\n"),
            ("proc/meminfo", "MemTotal: 2048 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n"),
            ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ]);
        assert_eq!((facts.controllers, facts.unified), (Some(vec!["cpu".to_owned()]), false));
        assert_eq!(facts.threads, Some((640, 32768)));
        assert_eq!(facts.files, Some((3053, 100_000)));
        assert_eq!(facts.memory, Some((1 << 20, 2 << 20)));
        assert_eq!(facts.local_ports, Some((32768, 60999)));
        assert_eq!(facts.bridge_filter, Some(false));
    }

    #[test]
    fn a_host_with_cgroup_v2_is_read() {
        let (_folder, facts) =
            host(&[("cgroup/cgroup.controllers", "cpu memory pids\n"), ("cgroup/pids.max", "max\n")]);
        assert_eq!((facts.controllers.unwrap().len(), facts.unified), (3, true));
    }

    #[test]
    fn a_host_without_proc_says_nothing() {
        let (_folder, facts) = host(&[]);
        assert_eq!((facts.inotify_instances, facts.memory, facts.bridge_filter), (None, None, None));
    }

    #[test]
    fn open_inotify_instances_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let fd = folder.path().join("12/fd");
        fs::create_dir_all(&fd).unwrap();
        for (name, to) in [("1", "anon_inode:inotify"), ("2", "/dev/null"), ("3", "anon_inode:inotify")] {
            std::os::unix::fs::symlink(to, fd.join(name)).unwrap();
        }
        assert_eq!(inotify_used(folder.path()), 2);
    }

    #[test]
    fn space_is_that_of_the_nearest_folder_there_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(space(&folder.path().join("a/b")).is_some(), space(folder.path()).is_some());
    }
}
