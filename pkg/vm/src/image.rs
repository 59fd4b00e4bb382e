//! Node images as disks, stored once and never written again: nodes stand on them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use skiff_driver::{ImageInfo, NodeImage};
use skiff_report::{Event, Reporter};
use skiff_runner::{Command, LocalRunner, RunError, Runner};
use tar::{Builder, EntryType, Header};

use crate::{Kit, Lock, VmError, files};

/// The script that makes the disk.
const SCRIPT: &str = include_str!("../../../deploy/vm/build/disk");

/// Files that only a virtual machine has: path, mode, contents.
const FILES: [(&str, u32, &str); 4] = [
    (
        "etc/systemd/system/skiff-clock.service",
        0o644,
        include_str!("../../../deploy/vm/root/etc/systemd/system/skiff-clock.service"),
    ),
    (
        "etc/systemd/system/skiff-power-button.service",
        0o644,
        include_str!("../../../deploy/vm/root/etc/systemd/system/skiff-power-button.service"),
    ),
    ("usr/lib/skiff/clock", 0o755, include_str!("../../../deploy/vm/root/usr/lib/skiff/clock")),
    ("usr/lib/skiff/power-button", 0o755, include_str!("../../../deploy/vm/root/usr/lib/skiff/power-button")),
];

/// Units that a boot starts, each as path and target of a link.
const LINKS: [(&str, &str); 2] = [
    ("etc/systemd/system/sysinit.target.wants/skiff-clock.service", "/etc/systemd/system/skiff-clock.service"),
    (
        "etc/systemd/system/sysinit.target.wants/skiff-power-button.service",
        "/etc/systemd/system/skiff-power-button.service",
    ),
];

/// How long making a disk may take on a slow host.
const PATIENCE: Duration = Duration::from_mins(15);

/// The parts of an image, by the names of their files.
const DISK: &str = "disk.raw";
const KERNEL: &str = "vmlinuz";
const INITRD: &str = "initrd";
const FACTS: &str = "image.json";

/// What is known about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    labels: BTreeMap<String, String>,
    /// Digest of the disk.
    sha256: String,
    /// Size and time of the disk when the digest was taken: unless they change, nobody wrote to it.
    stamp: Stamp,
}

/// What changes when a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        Ok(Self { size: data.len(), seconds: data.mtime(), nanoseconds: data.mtime_nsec() })
    }
}

/// The images of one driver.
#[derive(Debug, Clone)]
pub struct Images {
    folder: PathBuf,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Content hash.
    pub key: String,
    folder: PathBuf,
    facts: Facts,
}

impl Image {
    /// The disk that nodes stand on.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join(DISK)
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(KERNEL)
    }

    /// The initial RAM disk.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.folder.join(INITRD)
    }

    /// True if the files are there and the disk is what it was when it was made.
    fn is_whole(&self) -> bool {
        if !self.kernel().is_file() || !self.initrd().is_file() {
            return false;
        }
        let Ok(stamp) = Stamp::of(&self.disk()) else { return false };
        if stamp == self.facts.stamp {
            return true;
        }
        // Somebody touched it: only the bytes can tell.
        let same = digest(&self.disk()).is_ok_and(|found| found == self.facts.sha256);
        if same {
            let facts = Facts { stamp, ..self.facts.clone() };
            // Else the next look takes as long again.
            let _ = files::write_json(&self.folder.join(FACTS), &facts);
        }
        same
    }

    fn info(&self) -> ImageInfo {
        let version = self.facts.labels.get("kubernetes").map_or("none", String::as_str);
        let short = self.key.get(..12).unwrap_or(&self.key);
        ImageInfo {
            key: self.key.clone(),
            name: format!("skiff-node:{version}-{short}"),
            size: fs::metadata(self.disk()).map_or(0, |data| data.blocks() * 512),
            labels: self.facts.labels.clone(),
        }
    }
}

impl Images {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The image of a key, if it is there and whole.
    ///
    /// # Errors
    /// [`VmError::ImageMissing`], [`VmError::ImageDamaged`], or when its files cannot be read.
    pub fn get(&self, key: &str) -> Result<Image, VmError> {
        let folder = self.folder.join(key);
        let facts = files::read_json(&folder.join(FACTS))?;
        let facts = facts.ok_or_else(|| VmError::ImageMissing { key: key.to_owned() })?;
        let image = Image { key: key.to_owned(), folder, facts };
        if image.is_whole() { Ok(image) } else { Err(VmError::ImageDamaged { key: key.to_owned() }) }
    }

    /// The images there are, ordered by name. A damaged one counts as absent, so that it is made anew.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<ImageInfo>, VmError> {
        let names = files::names(&self.folder)?;
        let whole = names.iter().filter_map(|name| self.get(name).ok());
        let mut infos: Vec<ImageInfo> = whole.map(|image| image.info()).collect();
        infos.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(infos)
    }

    /// Makes the disk of an image; nothing happens if it is there and whole.
    ///
    /// # Errors
    /// When the kit or a tool is missing, the root file system cannot be read, or the disk is full.
    pub async fn import(&self, image: &NodeImage, kit: &Kit, reporter: &dyn Reporter) -> Result<(), VmError> {
        let _lock = Lock::take(&self.folder.join(".lock")).await?;
        if self.get(&image.key).is_ok() {
            return Ok(());
        }
        kit.require()?;
        let rootfs = fs::metadata(&image.rootfs).map_err(VmError::file("read", &image.rootfs))?.len();
        // The tree, the disk, and the modules in both.
        files::require_space(&self.folder, rootfs * 5 / 2 + (300 << 20))?;
        let part = self.folder.join(".part");
        files::remove(&part)?;
        files::make_folder(&part)?;
        reporter.report(Event::Progress { what: "making the disk of the node image".to_owned(), fraction: None });
        let made = self.fill(&part, image, kit).await;
        if made.is_err() {
            files::remove(&part)?;
        }
        made?;
        let folder = self.folder.join(&image.key);
        files::remove(&folder)?;
        fs::rename(&part, &folder).map_err(VmError::file("rename", &part))
    }

    async fn fill(&self, part: &Path, image: &NodeImage, kit: &Kit) -> Result<(), VmError> {
        let (script, own, work) = (part.join("disk.sh"), part.join("vm.tar"), part.join("work"));
        let disk = part.join(DISK);
        fs::write(&script, SCRIPT).map_err(VmError::file("write", &script))?;
        own_files(&own).map_err(VmError::file("write", &own))?;
        files::make_folder(&work)?;
        let paths = [&script, &work, &disk, &image.rootfs, &kit.modules(), &own];
        let argv = namespaces(rustix::process::geteuid().is_root()).into_iter().map(str::to_owned);
        let argv = argv.chain(["sh".to_owned()]).chain(paths.iter().map(|path| path.display().to_string()));
        match LocalRunner.run(Command::new(argv).timeout(PATIENCE)).await {
            Ok(_) => {}
            Err(RunError::Spawn { program, source }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(VmError::ToolMissing { program, package: "util-linux" });
            }
            Err(RunError::Status { output, .. }) if output.stderr_text().contains("mke2fs: not found") => {
                return Err(VmError::ToolMissing { program: "mke2fs".to_owned(), package: "e2fsprogs" });
            }
            Err(source) => return Err(VmError::Tool { doing: "making the node image's disk".to_owned(), source }),
        }
        for leftover in [&work, &script, &own] {
            files::remove(leftover)?;
        }
        for (from, name) in [(kit.kernel(), KERNEL), (kit.initrd(), INITRD)] {
            fs::copy(&from, part.join(name)).map_err(VmError::file("copy", &from))?;
        }
        // Nodes read it, and nobody may write it.
        fs::set_permissions(&disk, fs::Permissions::from_mode(0o400)).map_err(VmError::file("protect", &disk))?;
        let sha256 = digest_aside(disk.clone()).await?;
        let stamp = Stamp::of(&disk).map_err(VmError::file("read", &disk))?;
        files::write_json(&part.join(FACTS), &Facts { labels: image.labels.clone(), sha256, stamp })
    }

    /// Removes an image; nothing happens if it is absent. `users` are the nodes that stand on it.
    ///
    /// # Errors
    /// When there are users, or its files cannot be removed.
    pub async fn remove(&self, key: &str, users: Vec<String>) -> Result<(), VmError> {
        if !users.is_empty() {
            return Err(VmError::ImageInUse { key: key.to_owned(), users });
        }
        let _lock = Lock::take(&self.folder.join(".lock")).await?;
        files::remove(&self.folder.join(key))
    }
}

/// The words in front of the script. It dies with skiff; without root's rights it gets a user
/// namespace in which files may belong to anybody.
fn namespaces(root: bool) -> Vec<&'static str> {
    let mut argv = vec!["unshare", "--fork", "--kill-child", "--pid", "--mount"];
    if !root {
        argv.extend(["--map-root-user", "--map-auto"]);
    }
    argv.extend(["setpriv", "--pdeathsig", "KILL", "--"]);
    argv
}

/// Writes skiff's own files of a virtual machine as an archive.
fn own_files(path: &Path) -> io::Result<()> {
    let header = |kind, mode, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    let mut archive = Builder::new(File::create(path)?);
    for (path, mode, text) in FILES {
        archive.append_data(&mut header(EntryType::Regular, mode, text.len()), path, text.as_bytes())?;
    }
    for (path, target) in LINKS {
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
    }
    archive.finish()
}

/// Digest of a file, without holding up others.
async fn digest_aside(path: PathBuf) -> Result<String, VmError> {
    let name = path.clone();
    let hashed = tokio::task::spawn_blocking(move || digest(&path)).await;
    hashed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(VmError::file("read", name))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/vm/root")
    }

    #[test]
    fn every_file_of_the_recipe_is_carried_with_its_mode() {
        let mut found = Vec::new();
        let mut open = vec![folder()];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.push(path.strip_prefix(folder()).unwrap().display().to_string());
            }
        }
        found.sort();
        assert_eq!(found, FILES.map(|(path, ..)| path.to_owned()));
        for (path, mode, text) in FILES {
            let on_disk = fs::metadata(folder().join(path)).unwrap().permissions().mode();
            assert_eq!(
                (on_disk & 0o111 != 0, text.starts_with("#!")),
                (mode & 0o111 != 0, mode & 0o111 != 0),
                "{path}"
            );
        }
        let carried = |target: &str| FILES.iter().any(|(path, ..)| target.trim_start_matches('/') == *path);
        assert!(LINKS.iter().all(|(_, target)| carried(target)));
    }

    #[test]
    fn a_disk_that_was_written_to_is_damaged_and_a_touched_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::at(dir.path().to_owned());
        let folder = dir.path().join("key");
        fs::create_dir(&folder).unwrap();
        for (name, text) in [(DISK, "disk"), (KERNEL, "k"), (INITRD, "i")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let disk = folder.join(DISK);
        let facts = Facts { labels: BTreeMap::new(), sha256: digest(&disk).unwrap(), stamp: Stamp::of(&disk).unwrap() };
        files::write_json(&folder.join(FACTS), &facts).unwrap();
        assert_eq!(images.list().unwrap().len(), 1);
        let earlier = std::time::SystemTime::now() - Duration::from_secs(60);
        File::open(&disk).unwrap().set_modified(earlier).unwrap();
        assert_eq!(images.get("key").unwrap().key, "key");
        fs::write(&disk, "dusk").unwrap();
        assert!(matches!(images.get("key"), Err(VmError::ImageDamaged { .. })));
        assert_eq!(images.list().unwrap(), []);
        assert!(matches!(images.get("other"), Err(VmError::ImageMissing { .. })));
    }
}
