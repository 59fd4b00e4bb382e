//! An image made on the spot: one static program, no registry.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

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
    archive(folder, &root, image, &json!({"Env": ["PATH=/bin"]}))
}

/// The same of an image that holds one program, with the libraries that it needs, and runs it.
///
/// # Panics
/// When the program's libraries cannot be told, or a file cannot be written.
#[must_use]
pub fn program_archive(folder: &Path, image: &str, program: &Path) -> PathBuf {
    let root = folder.join("program-root");
    let told = Finished::of(Command::new("ldd").arg(program)).ok();
    // Lines such as `libc.so.6 => /lib/libc.so.6 (0x1)` and `/lib64/ld-linux-x86-64.so.2 (0x1)`.
    let libraries = told.stdout.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    for (from, to) in libraries.map(|library| (library, library)).chain([(program, Path::new("/program"))]) {
        let target = root.join(to.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder for the image");
        let _ = fs::copy(from, target).expect("a file of the image");
    }
    archive(folder, &root, image, &json!({"Entrypoint": ["/program"]}))
}

/// Packs a file system.
fn archive(folder: &Path, root: &Path, image: &str, run: &Value) -> PathBuf {
    let tar = |archive: &Path, from: &Path, entries: &[&str]| {
        let mut command = Command::new("tar");
        command.args(["--owner=0", "--group=0", "-C"]).arg(from).arg("-cf").arg(archive).args(entries);
        let _ = Finished::of(&mut command).ok();
    };
    tar(&folder.join("layer.tar"), root, &["."]);
    let sum = Finished::of(Command::new("sha256sum").arg(folder.join("layer.tar"))).ok();
    let layer = format!("sha256:{}", sum.text().split(' ').next().unwrap_or_default());
    let architecture = if env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": run,
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
