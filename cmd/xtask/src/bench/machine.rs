//! The line that says where the figures come from.

use std::{fs, thread};

use super::docker::docker;

/// Cores, memory, kernel, docker, and how busy the machine is besides.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let docker = docker(["version", "--format", "{{.Server.Version}}"]).unwrap_or_default();
    let (meminfo, load) = (read("/proc/meminfo"), read("/proc/loadavg"));
    format!(
        "machine: {cores} cores, {} memory, Linux {}, docker {docker}, load {}",
        memory(&meminfo),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}

fn memory(meminfo: &str) -> String {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or_else(|| "unknown".to_owned(), |kib: f64| format!("{:.1} GiB", kib / 1024.0 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_in_gibibytes() {
        assert_eq!(memory("MemTotal:       25165824 kB\nMemFree: 1 kB\n"), "24.0 GiB");
        assert_eq!(memory(""), "unknown");
    }
}
