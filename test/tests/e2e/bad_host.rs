//! A host without Docker, without space, without a network: a clear error and the right exit code.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use skiff_test::{Cluster, Finished, Sandbox, binary};

fn run(command: &mut Command) -> Finished {
    Finished::of(command)
}

pub(crate) fn without_docker_start_says_how_to_get_it() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let socket = format!("unix://{}/none.sock", sandbox.path().display());
    for verb in ["start", "delete"] {
        // Without a path there is no QEMU either, which would be taken instead.
        let told = run(cluster.skiff(verb, &[]).env("DOCKER_HOST", &socket).env("PATH", ""));
        // Whether it is missing or only not running depends on what is installed here.
        assert!([63, 65].contains(&told.code), "{told:?}");
        let _ = told.says("PROVIDER_DOCKER_NOT_").says("none.sock").says("Hint: ");
    }
    let told = run(cluster.skiff("start", &["--driver", "docker"]).env("DOCKER_HOST", "ssh://elsewhere")).code(66);
    let _ = told.says("DOCKER_HOST");
}

pub(crate) fn a_qemu_that_machines_cannot_run_on_is_told_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let programs = sandbox.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    let install = |name: &str, prints: &str| {
        fs::write(programs.join(name), format!("#!/bin/sh\necho '{prints}'\n")).expect("a program");
        fs::set_permissions(programs.join(name), Permissions::from_mode(0o755)).expect("a program");
    };
    let told = |verb: &[&str]| {
        // Nothing else is found there; a shell runs from where it is.
        let mut skiff = cluster.sandbox().skiff(verb);
        run(skiff.env("PATH", &programs).env("DOCKER_HOST", "unix:///nonexistent/docker.sock")).ok()
    };
    let start = ["start", "--dry-run", "--driver", "qemu", "--listen-address", "::1", "-p", &cluster.name];
    for (name, prints, words) in [
        ("none", "", "QEMU is not installed"),
        (QEMU, "QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)", "QEMU is 5.2.0, machines need 6.0.0 or newer"),
        (QEMU, "QEMU emulator version 7.2.22", "`qemu-img` is not installed"),
        ("qemu-img", "qemu-img version 7.2.22", "not at ::1"),
    ] {
        install(name, prints);
        let dry = told(&start).says(words);
        assert!(
            dry.stderr.contains("a start would fail now") || dry.stdout.contains("a start would fail now"),
            "{dry:?}"
        );
        if name != "qemu-img" {
            let _ = told(&["drivers"]).says(words);
        }
    }
    cluster.is_gone();
}

/// The emulator of machines like this one.
const QEMU: &str = if cfg!(target_arch = "aarch64") { "qemu-system-aarch64" } else { "qemu-system-x86_64" };

pub(crate) fn a_user_without_rights_is_told_about_the_group() {
    let sandbox = Sandbox::new();
    let uid = run(Command::new("id").arg("-u")).ok();
    if uid.text() != "0" {
        // Only root can become somebody who may less.
        return;
    }
    let open = || Permissions::from_mode(0o777);
    fs::set_permissions(sandbox.path(), open()).expect("an open folder");
    let skiff = sandbox.path().join("skiff");
    let _ = fs::copy(binary(), &skiff).expect("a copy of skiff");
    fs::set_permissions(&skiff, open()).expect("a program");
    let mut start = Command::new("setpriv");
    start.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&skiff).args(["start", "--driver", "docker"]);
    start.env_remove("DOCKER_HOST").env("SKIFF_HOME", sandbox.home()).env("KUBECONFIG", sandbox.kubeconfig());
    let _ = run(&mut start).code(67).says("PROVIDER_DOCKER_NEWGRP").says("usermod -aG docker");
}

pub(crate) fn a_taken_subnet_is_refused_with_its_owner() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let bridge = run(Command::new("docker").args(["network", "inspect", "bridge", "--format", format])).ok();
    let start = cluster.run("start", &["--subnet", bridge.text()]).code(71);
    let _ = start.says("IF_SUBNET_CONFLICT").says("the docker network bridge");
    cluster.is_gone();
}

/// A start that has to build its node image: the agent in it is another one.
fn start_with_another_agent(cluster: &Cluster<'_>, cache: &Path, flags: &[&str]) -> Finished {
    let agent = cluster.sandbox().path().join("skiff-agent");
    let mut bytes = fs::read(binary().with_file_name("skiff-agent")).expect("the agent");
    bytes.extend(cluster.name.as_bytes());
    fs::write(&agent, bytes).expect("another agent");
    let mut start = cluster.skiff("start", &["--artifacts", "debian"]);
    start.args(flags).env("SKIFF_AGENT", &agent).env("SKIFF_CACHE", cache);
    run(&mut start)
}

const NOBODY: [&str; 2] = ["--debian-mirror", "http://127.0.0.1:9"];

pub(crate) fn an_unreachable_mirror_is_named_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let start = start_with_another_agent(&cluster, &sandbox.path().join("cache"), &NOBODY).code(49);
    let _ = start.says("INET_MIRROR_UNAVAILABLE").says("http://127.0.0.1:9").says("--debian-mirror");
    cluster.is_gone();
}

pub(crate) fn a_full_disk_is_noticed_before_the_build() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let Some(disk) = SmallDisk::mount(sandbox.path().join("small")) else { return };
    let start = start_with_another_agent(&cluster, &disk.0, &NOBODY).code(26);
    let _ = start.says("HOST_STORAGE").says("free, and has").says(&disk.0.to_string_lossy());
    cluster.is_gone();
}

/// A file system in memory with next to no space.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user or this machine may not mount anything.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).expect("a mount point");
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(&at));
        (mounted.code == 0).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

pub(crate) fn a_damaged_artifact_is_named_and_never_used() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let sets = fs::read_dir(sandbox.cache().join("kubernetes")).ok().into_iter().flatten().flatten();
    // More than one where Kubernetes was built by several editions of skiff.
    let sets: Vec<_> = sets
        .filter(|set| set.file_name().to_string_lossy().contains("v1.20.2-") && set.path().join("bin/kubelet").exists())
        .collect();
    if sets.is_empty() {
        // Whoever brought the node image from elsewhere has nothing that could be damaged.
        return;
    }
    let cache = sandbox.path().join("cache");
    fs::create_dir_all(cache.join("kubernetes")).expect("a cache");
    for set in sets {
        let _ = run(Command::new("cp").arg("-a").arg(set.path()).arg(cache.join("kubernetes"))).ok();
        let damaged = cache.join("kubernetes").join(set.file_name()).join("bin/kubelet");
        let mut bytes = fs::read(&damaged).expect("a program");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&damaged, bytes).expect("a damaged program");
    }
    let start = start_with_another_agent(&cluster, &cache, &NOBODY).code(38);
    let _ = start.says("HOST_CACHE_CORRUPT").says("bin/kubelet");
    cluster.is_gone();
    // The damaged set is out of use: the next start wants to make another.
    let _ = start_with_another_agent(&cluster, &cache, &NOBODY).code(49).says("INET_MIRROR_UNAVAILABLE");
}
