//! What `deploy/host/prepare` does where apt takes one thing away for another. Its apt-get is played here.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use skiff_test::Finished;

/// What the script and the apt-get that is played are made of.
const TOOLS: [&str; 13] = ["sh", "sed", "tr", "id", "env", "cat", "grep", "ls", "sort", "head", "rm", "touch", "chmod"];
/// Programs that are there already.
const THERE: [&str; 11] = [
    "dockerd",
    "docker",
    "iptables",
    "mmdebstrap",
    "unshare",
    "ssh",
    "curl",
    "cc",
    "pkg-config",
    "busybox",
    "newuidmap",
];
/// An apt with a `qemu-utils` that `qemu-system-x86` does not go with, and a system where it is not the one installed.
const APT: &str = r#"#!/bin/sh
echo "$*" >>"$HERE/log"
case $* in
*--simulate*qemu-system-x86*) echo "Remv qemu-utils [1:10.0.2]" ;;
*--simulate*) ;;
install*)
	for package; do
		case $package in
		qemu-system-x86) touch "$HERE/qemu-system-x86_64"; chmod +x "$HERE/qemu-system-x86_64"; rm -f "$HERE/qemu-img" ;;
		qemu-utils) [ -n "${NONE:-}" ] || { touch "$HERE/qemu-img"; chmod +x "$HERE/qemu-img"; } ;;
		esac
	done
	;;
esac
"#;

/// A folder with all programs that the script may find by name.
fn programs(folder: &Path) {
    let executable = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    };
    let path = env::var_os("PATH").expect("a PATH");
    for tool in TOOLS {
        let found = env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.exists());
        symlink(found.unwrap_or_else(|| panic!("{tool} is missing")), folder.join(tool)).expect("a link");
    }
    for name in THERE {
        executable(name, "#!/bin/sh\n");
    }
    executable("qemu-img", "#!/bin/sh\n");
    executable("sudo", "#!/bin/sh\nexec \"$@\"\n");
    executable("cargo", "#!/bin/sh\necho cargo 99.0.0\n");
    executable("apt-cache", "#!/bin/sh\nexit 1\n");
    executable("apt-get", APT);
}

fn prepare(folder: &Path) -> Command {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new("/bin/sh");
    command.args(["deploy/host/prepare", "test"]).current_dir(root).env("PATH", folder).env("HERE", folder);
    command.env("SKIFF_DEBIAN_MIRROR", "http://127.0.0.1:1/debian");
    command
}

#[test]
fn what_apt_takes_away_comes_back_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    programs(folder.path());
    let done = Finished::of(&mut prepare(folder.path())).ok();
    let told: Vec<_> = done.stdout.lines().collect();
    let expected =
        ["Installing: qemu-system-x86", "Removing what does not go with it: qemu-utils", "Installing: qemu-utils"];
    assert_eq!(told, expected);
    assert!(folder.path().join("qemu-img").exists());
    // Nothing is missing now, so apt is left alone.
    let log = fs::read_to_string(folder.path().join("log")).expect("what apt was asked");
    assert_eq!(Finished::of(&mut prepare(folder.path())).ok().stdout, "");
    assert_eq!(fs::read_to_string(folder.path().join("log")).expect("what apt was asked"), log);
}

#[test]
fn what_apt_does_not_bring_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    programs(folder.path());
    let _ =
        Finished::of(prepare(folder.path()).env("NONE", "1")).code(35).says("what these packages are for: qemu-utils");
}
