//! A subject for tests against a real Docker: a root file system of one program.

use std::{
    env,
    fs::{self, File},
    path::Path,
};

use skiff_driver::contract::Subject;
use skiff_driver_docker::DockerDriver;
use tar::{Builder, EntryType, Header};

/// Where Debian's `busybox-static` puts its program, on old and new releases.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Stops on SIGRTMIN+3, as systemd does.
const ENTRYPOINT: &str = "#!/bin/busybox sh
trap 'exit 0' 37
echo up
while :; do /bin/busybox sleep 60 & wait $!; done
";

/// A driver for the Docker of `DOCKER_HOST`, and a root file system that is up in a moment.
///
/// # Panics
/// When Docker or busybox is missing: these tests prove nothing without them.
pub(crate) async fn subject() -> Subject<DockerDriver> {
    let host = env::var("DOCKER_HOST").ok();
    let driver = DockerDriver::connect(host.as_deref()).await;
    let driver = driver.expect("this test needs a running Docker: start dockerd, or set DOCKER_HOST");
    let folder = tempfile::tempdir().expect("a folder");
    let rootfs = folder.path().join("rootfs.tar");
    write_rootfs(&rootfs);
    Subject { driver, rootfs, folder }
}

fn write_rootfs(path: &Path) {
    let busybox = BUSYBOX.into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("this test needs the Debian package busybox-static");
    let mut tar = Builder::new(File::create(path).expect("a file"));
    for (folder, mode) in [("root", 0o700), ("etc", 0o755), ("var", 0o755), ("proc", 0o755), ("sys", 0o755)] {
        let mut header = header(EntryType::Directory, mode, 0);
        tar.append_data(&mut header, folder, [].as_slice()).expect("a folder in the archive");
    }
    let program = fs::read(busybox).expect("busybox");
    for (path, contents) in [("bin/busybox", program.as_slice()), ("usr/lib/skiff/entrypoint", ENTRYPOINT.as_bytes())] {
        let mut header = header(EntryType::Regular, 0o755, contents.len());
        tar.append_data(&mut header, path, contents).expect("a file in the archive");
    }
    for link in ["bin/sh", "bin/true", "bin/cp", "bin/du", "bin/find", "bin/rm"] {
        tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), link, "busybox").expect("a link in the archive");
    }
    tar.finish().expect("the archive");
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
