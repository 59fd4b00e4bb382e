use std::path::PathBuf;

use skiff_report::Reason;

use super::*;
use crate::{DriverFact, Folder, Level, Proxies, Space, room};

/// A host with plenty of everything.
fn good() -> Facts {
    let folder = Folder {
        name: "disk-docker",
        path: "/var/lib/docker".into(),
        shared_by_nodes: true,
        fix: "docker system prune".to_owned(),
    };
    Facts {
        inotify_instances: Some(8192),
        inotify_watches: Some(524_288),
        files: Some((3000, 1 << 62)),
        threads: Some((600, 4_194_304)),
        controllers: Some(["cpu", "cpuset", "memory", "pids"].map(str::to_owned).to_vec()),
        unified: true,
        memory: Some((16 << 30, 24 << 30)),
        cpus: 8,
        ip_forward: Some(true),
        bridge_filter: Some(true),
        overlay: Some(true),
        local_ports: Some((32768, 60999)),
        authorities: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        folders: vec![(folder, Some(Space { free: 100 << 30, free_inodes: Some(10_000_000) }))],
        now: Some(SystemTime::UNIX_EPOCH + NO_EARLIER + CLOCK_SKEW),
        drivers: vec![driver("docker", true), driver("qemu", false)],
        ..Facts::default()
    }
}

fn driver(name: &str, works: bool) -> DriverFact {
    let reason = Reason::new("PROVIDER_NOT_FOUND", ExitCode::PROVIDER_NOT_FOUND, "Install it.");
    let health = if works { Ok("works".to_owned()) } else { Err(("is not installed".to_owned(), reason)) };
    DriverFact { name: name.to_owned(), health }
}

/// The one finding that is not good, after a change to a good host.
fn wrong(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = good();
    change(&mut facts);
    let mut bad: Vec<_> = examine(&facts).into_iter().filter(|finding| finding.level != Level::Good).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let finding = bad.remove(0);
    assert!(!finding.fix.is_empty(), "{finding:?}");
    finding
}

#[test]
fn a_good_host_has_room_and_nothing_to_fix() {
    let findings = examine(&good());
    assert!(findings.iter().all(|finding| finding.level == Level::Good && finding.fix.is_empty()), "{findings:?}");
    assert_eq!(room(&findings), Some(23), "memory is the shortest");
}

#[test]
fn a_host_that_says_nothing_is_not_blamed() {
    let facts = Facts { authorities: Some("/x".into()), ..Facts::default() };
    assert!(examine(&facts).iter().all(|finding| finding.level == Level::Good));
}

#[test]
fn what_runs_short_warns_and_what_is_gone_blocks() {
    for (used, level) in [(8000, Level::Good), (8150, Level::Warning), (8190, Level::Blocking(ExitCode::HOST_ERROR))] {
        let facts = Facts { inotify_used: used, ..good() };
        let found = examine(&facts).into_iter().find(|finding| finding.name == "inotify-instances").unwrap();
        assert_eq!(found.level, level, "{used}");
    }
    let memory = wrong(|facts| facts.memory = Some((200 << 20, 2 << 30)));
    assert_eq!((memory.level, memory.room), (Level::Blocking(ExitCode::INSUFFICIENT_MEMORY), Some(0)));
    let disk = wrong(|facts| facts.folders[0].1 = Some(Space { free: 1 << 30, free_inodes: None }));
    assert_eq!(disk.level, Level::Blocking(ExitCode::INSUFFICIENT_STORAGE));
    assert_eq!(disk.fix, "docker system prune");
    assert_eq!(wrong(|facts| facts.threads = Some((32_700, 32_768))).name, "pids");
    assert_eq!(wrong(|facts| facts.files = Some((99_000, 100_000))).name, "open-files");
}

#[test]
fn each_missing_part_of_the_kernel_has_its_command() {
    assert!(wrong(|facts| facts.bridge_filter = Some(false)).fix.contains("modprobe br_netfilter"));
    assert!(wrong(|facts| facts.overlay = Some(false)).fix.contains("modprobe overlay"));
    let memory = wrong(|facts| facts.controllers = Some(["cpu", "cpuset", "pids"].map(str::to_owned).to_vec()));
    assert!(memory.fix.contains("cgroup_enable=memory") && matches!(memory.level, Level::Blocking(_)));
    assert_eq!(wrong(|facts| facts.unified = false).level, Level::Warning);
    assert!(wrong(|facts| facts.ip_forward = Some(false)).fix.contains("net.ipv4.ip_forward=1"));
    assert!(wrong(|facts| facts.inotify_watches = Some(8192)).fix.contains("max_user_watches"));
    let ports = wrong(|facts| facts.local_ports = Some((1024, 65535)));
    assert_eq!(ports.name, "local-ports");
    assert!(ports.fix.contains("echo 'net.ipv4.ip_local_port_range=32768 60999' |"), "{}", ports.fix);
}

#[test]
fn one_driver_that_works_is_enough() {
    let finding = wrong(|facts| facts.drivers = vec![driver("docker", false)]);
    assert_eq!((finding.level, finding.fix.as_str()), (Level::Blocking(ExitCode::PROVIDER_NOT_FOUND), "Install it."));
}

#[test]
fn clocks_that_are_wrong_or_disagree_block() {
    assert!(matches!(wrong(|facts| facts.now = Some(SystemTime::UNIX_EPOCH)).level, Level::Blocking(_)));
    let late = wrong(|facts| facts.engine_clock = facts.now.map(|now| now + CLOCK_SKEW + CLOCK_SKEW));
    assert!(late.message.contains("60 s apart"), "{}", late.message);
    let early = wrong(|facts| facts.engine_clock = facts.now.map(|now| now - CLOCK_SKEW - CLOCK_SKEW));
    assert!(early.message.contains("60 s apart"), "{}", early.message);
}

#[test]
fn a_proxy_must_leave_clusters_out() {
    let proxy = |exceptions: Option<&str>, url: &str| Proxies {
        proxies: vec![("HTTPS_PROXY".to_owned(), url.to_owned())],
        exceptions: exceptions.map(str::to_owned),
        authorities: None,
    };
    let some = wrong(|facts| facts.proxies = proxy(Some("example.com,127.0.0.1"), "http://proxy:3128"));
    assert_eq!(some.fix, "export NO_PROXY=example.com,127.0.0.1,192.168.0.0/16,10.96.0.0/12,10.244.0.0/16");
    let inside = "127.0.0.0/8,192.168.0.0/16,10.0.0.0/8";
    let loopback = wrong(|facts| facts.proxies = proxy(Some(inside), "http://me:secret@localhost:3128"));
    assert_eq!(loopback.name, "proxy-loopback");
    assert!(!loopback.message.contains("secret"));
    let all = Facts { proxies: proxy(Some("*"), "http://proxy:3128"), ..good() };
    assert!(examine(&all).iter().all(|finding| finding.level == Level::Good));
}

#[test]
fn a_host_without_authorities_is_told() {
    assert_eq!(wrong(|facts| facts.authorities = None::<PathBuf>).name, "authorities");
}
