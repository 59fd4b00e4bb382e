//! A world of the suite's own: network, processes, mounts, a disk and a Docker Engine.

use std::{
    cell::RefCell,
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::engine::Engine;
use crate::{Finished, Sandbox, binary};

/// What makes a world: spaces for network, mounts and processes, all of which end with it.
const SPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// Its first process has nothing to do but to let orphans end.
const FIRST: &str = "\"$@\" & wait $!";
/// Size of the disk that may be filled.
const DISK: &str = "10G";

/// The context of a cluster that skiff has nothing to do with.
pub(super) const OTHER: &str = "other";
const OTHERS: &str = "apiVersion: v1
kind: Config
clusters: [{name: other, cluster: {server: \"https://127.0.0.1:1\"}}]
contexts: [{name: other, context: {cluster: other, user: other}}]
users: [{name: other, user: {token: secret}}]
current-context: other
";

/// The world, seen from within.
pub struct World {
    // Before the Engine, which it needs to its end.
    pub(super) sandbox: Sandbox,
    pub(super) engine: RefCell<Engine>,
    disk: PathBuf,
}

/// Runs the program `chaos` in a world of its own, and waits for its end. What it draws is what the
/// environment says.
///
/// # Panics
/// When this host or user may not make a world, or when a round fails.
pub fn run_apart(program: &Path) {
    assert!(Path::new("/dev/loop-control").exists(), "this host has no loop devices for a disk that may be filled");
    let world = || {
        let mut command = Command::new("unshare");
        command.args(SPACES).args(["sh", "-c", FIRST, "sh"]);
        command
    };
    let tried = Finished::of(world().args(["ip", "link", "set", "lo", "up"]));
    assert_eq!(tried.code, 0, "there can be no world of its own here: {}", tried.stderr.trim());
    let folder = tempfile::Builder::new().prefix("skiff-chaos-").tempdir().expect("a temporary folder");
    let mut command = world();
    command.arg(program).env("SKIFF_CHAOS_FOLDER", folder.path()).env("SKIFF_BIN", binary());
    let ended = command.env_remove("DOCKER_HOST").status().expect("unshare");
    assert!(ended.success(), "a round failed; the seed above repeats it");
}

impl World {
    /// Sets the world up: [`run_apart`] must have started this process.
    ///
    /// # Panics
    /// When a part of it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = PathBuf::from(env::var_os("SKIFF_CHAOS_FOLDER").expect("the folder of the world"));
        let (image, disk) = (folder.join("disk.img"), folder.join("disk"));
        fs::create_dir_all(&disk).expect("a folder for the disk");
        let run = |program: &str, args: &[&str]| drop(Finished::of(Command::new(program).args(args)).ok());
        let (image, at) = (image.to_string_lossy(), disk.to_string_lossy());
        run("mount", &["--make-rprivate", "/"]);
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        // What all homes of a host share: the world is a host of its own.
        let common = format!("/tmp/skiff-{}", rustix::process::getuid().as_raw());
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&common);
        made.expect("the folder that homes share");
        run("mount", &["-t", "tmpfs", "-o", "mode=700", "tmpfs", &common]);
        run("truncate", &["-s", DISK, &image]);
        run("mkfs.ext4", &["-q", "-m", "0", &image]);
        run("mount", &["-o", "loop", &image, &at]);
        run("ip", &["link", "set", "lo", "up"]);
        let engine = Engine::start(&disk.join("docker"), &folder.join("dockerd.log"));
        let world = Self { engine: RefCell::new(engine), sandbox: Sandbox::within(&disk), disk };
        let _ = world.sandbox.run(&["node-image", "build"]).ok();
        world.forget_kubeconfig();
        world
    }

    /// Puts a kubeconfig there that knows somebody else's cluster only.
    pub(super) fn forget_kubeconfig(&self) {
        fs::write(self.sandbox.kubeconfig(), OTHERS).expect("a kubeconfig");
    }

    /// Leaves this much of the disk.
    pub(super) fn fill(&self, left: u64) {
        let stat = rustix::fs::statvfs(&self.disk).expect("the disk");
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let size = free.saturating_sub(left).to_string();
        // It takes what there is, so this may end with an error.
        let _ = Finished::of(Command::new("fallocate").args(["-l", &size]).arg(self.ballast()));
    }

    /// Gives back what was filled.
    pub(super) fn make_room(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.disk.join("ballast")
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
