//! What nodes share.

use skiff_report::ExitCode;

use crate::{Facts, Finding, need};

/// Below that a disk may be full before a cluster is up: the node image and what is built for it.
const LEAST_DISK: u64 = 3 << 30;
/// Watches: pods that look at files need thousands.
const FEW_WATCHES: u64 = 65_536;

pub(super) fn processors(facts: &Facts) -> Vec<Finding> {
    let name = "cpus";
    let room = Some(facts.cpus * need::NODES_PER_CPU);
    let finding = match facts.cpus {
        0 => return Vec::new(),
        1 => Finding::warning(name, "1 processor: clusters start, slowly", "Give this host a second processor."),
        count => Finding::good(name, format!("{count} processors")),
    };
    vec![Finding { room, ..finding }]
}

pub(super) fn memory(facts: &Facts) -> Vec<Finding> {
    let Some((free, all)) = facts.memory else { return Vec::new() };
    let message = format!("{} MiB of {} MiB are free", free >> 20, all >> 20);
    let fix = "End programs that are not needed, or `skiff stop` a cluster.";
    vec![Finding::share("memory", free, need::MEMORY, ExitCode::INSUFFICIENT_MEMORY, message, fix)]
}

pub(super) fn disks(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, space) in &facts.folders {
        let Some(space) = space else { continue };
        let (free, at) = (space.free, folder.path.display());
        let message = format!("{:.1} GiB free in {at}", gib(free));
        let fix = folder.fix.as_str();
        let exit = ExitCode::INSUFFICIENT_STORAGE;
        findings.push(if free < LEAST_DISK {
            Finding { room: Some(0), ..Finding::blocking(folder.name, exit, message, fix) }
        } else if folder.shared_by_nodes {
            Finding::share(folder.name, free - LEAST_DISK, need::DISK, exit, message, fix)
        } else {
            Finding::good(folder.name, message)
        });
        if space.free_inodes.is_some_and(|inodes| inodes < 100_000) {
            let left = space.free_inodes.unwrap_or_default();
            let message = format!("{left} more files fit into {at}, and a node image has tens of thousands");
            findings.push(Finding::warning(format!("{}-inodes", folder.name), message, fix));
        }
    }
    findings
}

#[expect(clippy::cast_precision_loss, reason = "for a person, with one digit after the point")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

pub(super) fn inotify(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(limit) = facts.inotify_instances {
        let used = facts.inotify_used;
        let message = format!("{used} of {limit} are in use");
        let fix = sysctl("fs.inotify.max_user_instances", 8192);
        let free = limit.saturating_sub(used);
        let exit = ExitCode::HOST_ERROR;
        findings.push(Finding::share("inotify-instances", free, need::INOTIFY_INSTANCES, exit, message, fix));
    }
    if let Some(limit) = facts.inotify_watches {
        let message = format!("{limit} for each user");
        findings.push(if limit < FEW_WATCHES {
            let fix = sysctl("fs.inotify.max_user_watches", 524_288);
            Finding::warning("inotify-watches", format!("only {message}"), fix)
        } else {
            Finding::good("inotify-watches", message)
        });
    }
    findings
}

pub(super) fn files(facts: &Facts) -> Vec<Finding> {
    let Some((used, limit)) = facts.files else { return Vec::new() };
    let free = limit.saturating_sub(used);
    // 2^63 is the kernel's word for no limit.
    if limit > 1 << 60 {
        return vec![Finding::good("open-files", format!("{used} are open, and there is no limit"))];
    }
    let message = format!("{used} of {limit} are open");
    let fix = sysctl("fs.file-max", 2_000_000);
    vec![Finding::share("open-files", free, need::FILES, ExitCode::HOST_ERROR, message, fix)]
}

pub(super) fn threads(facts: &Facts) -> Vec<Finding> {
    let Some((used, limit)) = facts.threads else { return Vec::new() };
    let message = format!("{used} of {limit} processes and threads are there");
    let fix = sysctl("kernel.pid_max", 4_194_304);
    let free = limit.saturating_sub(used);
    vec![Finding::share("pids", free, need::THREADS, ExitCode::HOST_ERROR, message, fix)]
}

/// The commands that change a kernel setting now and for good.
pub(super) fn sysctl(key: &str, value: u64) -> String {
    format!("sudo sysctl -w {key}={value} && echo {key}={value} | sudo tee -a /etc/sysctl.d/99-skiff.conf")
}
