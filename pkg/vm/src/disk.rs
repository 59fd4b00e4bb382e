//! Disks of nodes: made, grown and checked.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use skiff_runner::{Command, LocalRunner, RunError, Runner};

use crate::VmError;

/// How long a tool may work on a disk.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a driver wants the disks of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// QEMU's: layers over the image's disk, only as large as what was written.
    Qcow2,
    /// A plain file with holes, for programs that know nothing else; the root is a copy.
    Raw,
}

impl DiskFormat {
    /// The name in QEMU's words, and the ending of the files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What a check of a disk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// All is well, but for space that is lost.
    Good,
    /// Something is wrong.
    Damaged(String),
}

/// The tool that makes disks: `qemu-img`, and for raw disks nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskTool {
    /// The format it makes.
    pub format: DiskFormat,
    /// Name or path of `qemu-img`.
    pub qemu_img: String,
}

/// The part of `qemu-img info` that counts.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "virtual-size")]
    size: u64,
    #[serde(default)]
    snapshots: Vec<Saved>,
}

/// A disk as it was, in the disk's own file.
#[derive(Deserialize)]
struct Saved {
    name: String,
}

impl DiskTool {
    /// Plain files, which need no tool.
    #[must_use]
    pub fn raw() -> Self {
        Self { format: DiskFormat::Raw, qemu_img: String::new() }
    }

    /// Layers, made by QEMU's tool.
    #[must_use]
    pub fn qcow2(qemu_img: impl Into<String>) -> Self {
        Self { format: DiskFormat::Qcow2, qemu_img: qemu_img.into() }
    }

    /// Makes sure that the tool is there.
    pub(crate) async fn require(&self) -> Result<(), VmError> {
        match self.format {
            DiskFormat::Raw => Ok(()),
            DiskFormat::Qcow2 => self.run("asking qemu-img for its version", &["--version"]).await.map(drop),
        }
    }

    /// Makes a node's root from the raw disk of an image.
    pub(crate) async fn make_root(&self, base: &Path, path: &Path) -> Result<(), VmError> {
        match self.format {
            DiskFormat::Raw => fs::copy(base, path).map(drop).map_err(VmError::file("write", path)),
            DiskFormat::Qcow2 => {
                let (base, path) = (base.display().to_string(), path.display().to_string());
                let argv = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &base, &path];
                self.run("making the root disk", &argv).await.map(drop)
            }
        }
    }

    /// Makes an empty disk.
    pub(crate) async fn make_empty(&self, path: &Path, size: u64) -> Result<(), VmError> {
        match self.format {
            DiskFormat::Raw => {
                let made = File::create(path).and_then(|file| file.set_len(size));
                made.map_err(VmError::file("write", path))
            }
            DiskFormat::Qcow2 => {
                let (path, size) = (path.display().to_string(), size.to_string());
                self.run("making a disk", &["create", "-q", "-f", "qcow2", &path, &size]).await.map(drop)
            }
        }
    }

    /// Grows a disk that is smaller; a larger one is left as it is.
    pub(crate) async fn grow(&self, path: &Path, size: u64) -> Result<(), VmError> {
        if self.size(path).await? >= size {
            return Ok(());
        }
        match self.format {
            DiskFormat::Raw => {
                let grown = File::options().write(true).open(path).and_then(|file| file.set_len(size));
                grown.map_err(VmError::file("grow", path))
            }
            DiskFormat::Qcow2 => {
                let (path, size) = (path.display().to_string(), size.to_string());
                self.run("growing a disk", &["resize", "-q", "-f", "qcow2", &path, &size]).await.map(drop)
            }
        }
    }

    async fn size(&self, path: &Path) -> Result<u64, VmError> {
        if self.format == DiskFormat::Raw {
            return fs::metadata(path).map(|data| data.len()).map_err(VmError::file("read", path));
        }
        Ok(self.info(path).await?.size)
    }

    async fn info(&self, path: &Path) -> Result<Info, VmError> {
        let argv = ["info", "--output=json", "-f", "qcow2", "-U", &path.display().to_string()];
        let text = self.run("reading a disk", &argv).await?;
        serde_json::from_str(&text).map_err(|source| VmError::Record { path: path.to_owned(), source })
    }

    /// Keeps a disk that nobody uses under a name.
    pub(crate) async fn save(&self, path: &Path, name: &str) -> Result<(), VmError> {
        self.snapshot("keeping a disk as it is", ["-c", name], path).await
    }

    /// Brings a disk that nobody uses back to what it was.
    pub(crate) async fn restore(&self, path: &Path, name: &str) -> Result<(), VmError> {
        self.snapshot("bringing a disk back", ["-a", name], path).await
    }

    /// Removes what was kept of a disk that nobody uses; nothing happens if there is none.
    pub(crate) async fn forget(&self, path: &Path, name: &str) -> Result<(), VmError> {
        if !self.saved(path).await?.iter().any(|saved| saved == name) {
            return Ok(());
        }
        self.snapshot("removing what was kept of a disk", ["-d", name], path).await
    }

    /// Names under which a disk is kept.
    pub(crate) async fn saved(&self, path: &Path) -> Result<Vec<String>, VmError> {
        Ok(self.info(path).await?.snapshots.into_iter().map(|snapshot| snapshot.name).collect())
    }

    async fn snapshot(&self, doing: &str, what: [&str; 2], path: &Path) -> Result<(), VmError> {
        // What nobody needs any more goes back to the host.
        let file = path.display().to_string().replace(',', ",,");
        let image = format!("driver=qcow2,discard=unmap,file.filename={file}");
        let [verb, name] = what;
        self.run(doing, &["snapshot", "-q", "--image-opts", verb, name, &image]).await.map(drop)
    }

    /// Whether a disk that nobody uses is whole. A file that is no disk at all is found without a tool.
    pub(crate) async fn check(&self, path: &Path) -> Result<Health, VmError> {
        if !path.is_file() {
            return Ok(Health::Damaged("the file is gone".to_owned()));
        }
        if self.format == DiskFormat::Raw {
            return Ok(Health::Good);
        }
        let mut magic = [0; 4];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        if read.is_err() || magic != *b"QFI\xfb" {
            return Ok(Health::Damaged("it does not begin as a disk does".to_owned()));
        }
        let argv = ["check", "-q", "-f", "qcow2", &path.display().to_string()];
        match self.run("checking a disk", &argv).await {
            Ok(_) => Ok(Health::Good),
            // 3 means lost space only.
            Err(VmError::Tool { source: RunError::Status { output, .. }, .. }) if output.status == 3 => {
                Ok(Health::Good)
            }
            Err(VmError::Tool { source: RunError::Status { output, .. }, .. }) if [1, 2].contains(&output.status) => {
                let text = format!("{}{}", output.stdout_text(), output.stderr_text());
                Ok(Health::Damaged(text.lines().next().unwrap_or("its tables are wrong").to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn run(&self, doing: &str, arguments: &[&str]) -> Result<String, VmError> {
        let argv = [self.qemu_img.as_str()].into_iter().chain(arguments.iter().copied());
        match LocalRunner.run(Command::new(argv).timeout(PATIENCE)).await {
            Ok(output) => Ok(output.stdout_text()),
            Err(RunError::Spawn { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(VmError::ToolMissing { program: self.qemu_img.clone(), package: "qemu-utils" })
            }
            Err(source) => Err(VmError::Tool { doing: doing.to_owned(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    async fn behaves(tool: DiskTool) {
        let dir = tempfile::tempdir().unwrap();
        let (base, root, data) = (dir.path().join("base"), dir.path().join("root"), dir.path().join("data"));
        fs::write(&base, vec![7; 1 << 20]).unwrap();
        tool.make_root(&base, &root).await.unwrap();
        tool.make_empty(&data, 20 << 30).await.unwrap();
        tool.grow(&data, 30 << 30).await.unwrap();
        tool.grow(&data, 1 << 30).await.unwrap();
        assert_eq!(tool.size(&data).await.unwrap(), 30 << 30);
        assert!(fs::metadata(&data).unwrap().blocks() * 512 < 1 << 20, "only what is written takes room");
        assert_eq!(tool.check(&root).await.unwrap(), Health::Good);
        assert!(matches!(tool.check(&dir.path().join("gone")).await.unwrap(), Health::Damaged(_)));
    }

    #[tokio::test]
    async fn raw_disks_are_made_grown_and_sparse() {
        behaves(DiskTool::raw()).await;
    }

    #[tokio::test]
    async fn layers_are_made_grown_and_sparse() {
        behaves(DiskTool::qcow2("qemu-img")).await;
    }

    #[tokio::test]
    async fn a_disk_is_kept_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a,b.qcow2");
        let tool = DiskTool::qcow2("qemu-img");
        tool.make_empty(&path, 1 << 30).await.unwrap();
        tool.save(&path, "x-1").await.unwrap();
        tool.grow(&path, 2 << 30).await.unwrap();
        assert_eq!(tool.saved(&path).await.unwrap(), ["x-1"]);
        tool.restore(&path, "x-1").await.unwrap();
        assert_eq!(tool.size(&path).await.unwrap(), 1 << 30);
        for _ in 0..2 {
            tool.forget(&path, "x-1").await.unwrap();
            assert_eq!(tool.saved(&path).await.unwrap(), Vec::<String>::new());
        }
        assert_eq!(tool.check(&path).await.unwrap(), Health::Good);
    }

    #[tokio::test]
    async fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let tool = DiskTool::qcow2("qemu-img");
        fs::write(&path, "no disk").unwrap();
        assert!(matches!(tool.check(&path).await.unwrap(), Health::Damaged(_)));
        tool.make_empty(&path, 1 << 30).await.unwrap();
        let mut bytes = fs::read(&path).unwrap();
        // The first entry of the table of reference counts.
        let table = usize::try_from(u64::from_be_bytes(bytes[48..56].try_into().unwrap())).unwrap();
        bytes[table..table + 8].copy_from_slice(&[0xff; 8]);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(tool.check(&path).await.unwrap(), Health::Damaged(_)));
    }

    #[tokio::test]
    async fn a_missing_tool_is_named_with_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let tool = DiskTool::qcow2("no-such-img");
        for error in [tool.make_empty(&dir.path().join("d"), 1).await.unwrap_err(), tool.require().await.unwrap_err()] {
            assert!(matches!(error, VmError::ToolMissing { package: "qemu-utils", .. }), "{error}");
        }
        DiskTool::raw().require().await.unwrap();
    }
}
