//! A subject for tests against a real QEMU: a root file system of one program.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use skiff_artifacts::{NodeImageOptions, VmKitStore};
use skiff_driver::contract::Subject;
use skiff_driver_qemu::{QemuDriver, QemuOptions};
use skiff_report::Silent;
use skiff_vm::Kit;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// Where Debian's `busybox-static` puts its program, on old and new releases.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Says something in the first folder of the host, if there is one, writes as many MiB to /var as somebody asks
/// for, and switches the machine off when somebody presses its power button. The file on /var is what tests of kept data look at.
const INIT: &str = "#!/bin/busybox sh
if read -r tag place type rest 2>/dev/null </etc/fstab; then
	/bin/busybox mkdir -p $place
	[ -e /lib/modules ] || /bin/busybox ln -s /usr/lib/modules /lib/modules
	/bin/busybox modprobe virtiofs
	/bin/busybox mount -t $type $tag $place && /bin/busybox cat $place/asked >$place/said
fi
echo up >/dev/console
if read -r size 2>/dev/null </etc/fill; then
	/bin/busybox dd if=/dev/zero of=/var/filled bs=1M count=$size conv=fsync && echo filled >/dev/console
fi
for device in /sys/class/input/event*; do
	grep -q 'Power Button' $device/device/name && break
done
/bin/busybox head -c 24 /dev/input/${device##*/} >/dev/null
/bin/busybox sync
/bin/busybox poweroff -f
";

/// The tools that a machine's initial RAM disk takes from the node, which formats its disk by itself.
const DISK_TOOLS: [&str; 3] = ["/sbin/mke2fs", "/sbin/e2fsck", "/sbin/resize2fs"];

/// What the machine calls busybox by.
const PROGRAMS: [&str; 5] = ["sh", "grep", "head", "poweroff", "modprobe"];

/// The cache that kits for tests are kept in: kernels are fetched once.
fn cache() -> PathBuf {
    let given = env::var_os("SKIFF_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-cache"))
}

/// A driver with a folder of its own, and a root file system that is up in a moment.
///
/// # Panics
/// When QEMU, busybox or a kernel is missing: these tests prove nothing without them.
pub(crate) async fn subject() -> Subject<QemuDriver> {
    subject_in(tempfile::tempdir().expect("a folder")).await
}

/// The same in a folder that is there already.
///
/// # Panics
/// As [`subject`].
pub(crate) async fn subject_in(folder: TempDir) -> Subject<QemuDriver> {
    let kit = kit().await;
    let rootfs = folder.path().join("rootfs.tar");
    write_rootfs(&rootfs);
    let driver = QemuDriver::new(options(folder.path(), &kit));
    Subject { driver, rootfs, folder }
}

/// A driver's settings, with everything below a folder of the test's.
pub(crate) fn options(folder: &Path, kit: &Kit) -> QemuOptions {
    let folder = folder.join("qemu");
    fs::create_dir_all(&folder).expect("a folder");
    // Where machines hang that the processor runs, it takes ten seconds to find that out: once is enough.
    let verdict = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accelerator.json");
    let linked = symlink(verdict, folder.join("accelerator.json"));
    assert!(linked.is_ok() || linked.is_err_and(|error| error.kind() == ErrorKind::AlreadyExists));
    QemuOptions::new(folder, kit.clone())
}

/// The kernel of real machines.
pub(crate) async fn kit() -> Kit {
    let store = VmKitStore::new(NodeImageOptions { cache: cache(), mirror: None, keyring: None });
    Kit::at(store.build(&Silent).await.expect("a kernel from Debian's mirror"))
}

fn write_rootfs(path: &Path) {
    let busybox = BUSYBOX.into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("this test needs the Debian package busybox-static");
    let mut tar = Builder::new(File::create(path).expect("a file"));
    for folder in ["root", "etc", "var", "proc", "sys", "sbin"] {
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, [].as_slice()).expect("a folder");
    }
    let program = fs::read(busybox).expect("busybox");
    for (path, contents) in [("bin/busybox", program.as_slice()), ("sbin/init", INIT.as_bytes())] {
        tar.append_data(&mut header(EntryType::Regular, 0o755, contents.len()), path, contents).expect("a file");
    }
    for name in PROGRAMS {
        tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("bin/{name}"), "busybox").expect("a link");
    }
    for path in with_libraries(&DISK_TOOLS) {
        let contents = fs::read(&path).expect("a tool of e2fsprogs");
        let name = path.trim_start_matches('/');
        tar.append_data(&mut header(EntryType::Regular, 0o755, contents.len()), name, contents.as_slice())
            .expect("a file");
    }
    tar.finish().expect("the archive");
}

/// Programs of this host, and the libraries they load.
fn with_libraries(programs: &[&str]) -> BTreeSet<String> {
    let output = Command::new("ldd").args(programs).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.lines().filter(|line| !line.ends_with(':')).flat_map(str::split_whitespace);
    let libraries = words.filter(|word| word.starts_with('/')).map(str::to_owned);
    libraries.chain(programs.iter().map(ToString::to_string)).collect()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header
}
