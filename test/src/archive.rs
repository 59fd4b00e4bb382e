//! An image made on the spot: one static program, no registry.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::Finished;

/// Debian's static busybox, which `busybox-static` brings.
const BUSYBOX: &str = "/bin/busybox";
/// What the tests call it by.
const NAMES: [&str; 11] =
    ["sh", "cat", "echo", "sleep", "wget", "httpd", "nslookup", "tar", "mkdir", "hostname", "test"];

/// Writes an archive as `docker save` does, of an image that holds busybox, and returns its path.
///
/// # Panics
/// When busybox is not installed, or a file cannot be written.
#[must_use]
pub fn busybox_archive(folder: &Path, image: &str) -> PathBuf {
    let root = folder.join("image-root");
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("a folder for the image");
    fs::create_dir_all(root.join("tmp")).expect("a folder for the image");
    let _ = fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox: install busybox-static");
    for name in NAMES {
        symlink("busybox", bin.join(name)).expect("a link to busybox");
    }
    let tar = |archive: &Path, from: &Path, entries: &[&str]| {
        let mut command = Command::new("tar");
        command.args(["--owner=0", "--group=0", "-C"]).arg(from).arg("-cf").arg(archive).args(entries);
        let _ = Finished::of(&mut command).ok();
    };
    tar(&folder.join("layer.tar"), &root, &["."]);
    let sum = Finished::of(Command::new("sha256sum").arg(folder.join("layer.tar"))).ok();
    let layer = format!("sha256:{}", sum.text().split(' ').next().unwrap_or_default());
    let architecture = if env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [],
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
    fs::write(folder.join("config.json"), config.to_string()).expect("the image's configuration");
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("the image's manifest");
    let archive = folder.join("image.tar");
    tar(&archive, folder, &["config.json", "manifest.json", "layer.tar"]);
    archive
}
