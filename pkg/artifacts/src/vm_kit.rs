//! What virtual machines boot with: Debian's cloud kernel, an initial RAM disk of skiff's, and the
//! kernel's modules. `deploy/vm` holds the recipe. It depends on no Kubernetes version, so one kit
//! serves every node image.

use std::{
    fs,
    path::{Path, PathBuf},
};

use skiff_report::Reporter;

use crate::{
    Arch, ArtifactError, NodeImageOptions,
    cache::{self, Cache, make_folder},
    debian::{Mirror, explain},
    job::{Job, Journal},
    rootfs::recipe::SUITE,
    tools,
};

const INIT: &str = include_str!("../../../deploy/vm/init");
const MODULES: &str = include_str!("../../../deploy/vm/modules.txt");
const SCRIPT: &str = include_str!("../../../deploy/vm/build/kit");

/// The other parts of the recipe. They go into the disks of node images, which are named after the
/// kit too.
const DISK: [&str; 5] = [
    include_str!("../../../deploy/vm/build/disk"),
    include_str!("../../../deploy/vm/root/etc/systemd/system/skiff-clock.service"),
    include_str!("../../../deploy/vm/root/usr/lib/skiff/clock"),
    include_str!("../../../deploy/vm/root/etc/systemd/system/skiff-power-button.service"),
    include_str!("../../../deploy/vm/root/usr/lib/skiff/power-button"),
];

/// What the script leaves in `/kit`.
const FILES: [&str; 3] = ["vmlinuz", "initrd", "modules.tar"];

/// Room that the unpacked packages take at their peak, measured and rounded up.
const SPACE: u64 = 700 << 20;

const STAGE: &str = "fetching the kernel for virtual machines";

/// Programs of the host that the stage calls, with the Debian package of each.
const TOOLS: [(&str, &str); 4] =
    [("mmdebstrap", "mmdebstrap"), ("tar", "tar"), ("unshare", "util-linux"), ("setpriv", "util-linux")];

/// Makes the kit and keeps it in the cache.
#[derive(Debug, Clone)]
pub struct VmKitStore {
    cache: Cache,
    options: NodeImageOptions,
}

impl VmKitStore {
    /// A store with these settings.
    #[must_use]
    pub fn new(options: NodeImageOptions) -> Self {
        Self { cache: Cache::new(&options.cache), options }
    }

    /// Names the kit: changes when another one would come out. Newer kernels do not count.
    ///
    /// # Errors
    /// When there is no kernel for this host's processor.
    pub fn key(&self) -> Result<String, ArtifactError> {
        let package = package(Arch::host()?);
        Ok(cache::key([SUITE, package.as_str(), INIT, MODULES, SCRIPT].into_iter().chain(DISK)))
    }

    /// Where the kit is, or will be.
    ///
    /// # Errors
    /// As for [`key`](Self::key).
    pub fn folder(&self) -> Result<PathBuf, ArtifactError> {
        Ok(self.cache.path("vm-kit").join(self.key()?))
    }

    /// Makes the kit unless it is there. May run in several processes at once: one does the work.
    ///
    /// # Errors
    /// When a program is missing or the mirror does not deliver.
    pub async fn build(&self, reporter: &dyn Reporter) -> Result<PathBuf, ArtifactError> {
        let folder = self.folder()?;
        if folder.exists() {
            return Ok(folder);
        }
        let _lock = self.cache.lock("vm-kit", STAGE, reporter).await?;
        tools::check(&TOOLS).await?;
        self.cache.require_space(SPACE)?;
        let mirror = Mirror::find(self.options.mirror.as_deref(), self.options.keyring.as_deref()).await?;
        let mut journal = Journal::begin(self.cache.path("logs").join("vm-kit.log"), reporter)?;
        make_folder(&folder, async |part| make(&part, &mirror, &mut journal).await).await?;
        cache::remove_siblings(&folder)?;
        Ok(folder)
    }
}

/// The kernel's package.
fn package(arch: Arch) -> String {
    format!("linux-image-cloud-{}", arch.name())
}

/// Fills the stage's folder.
async fn make(part: &Path, mirror: &Mirror, journal: &mut Journal<'_>) -> Result<(), ArtifactError> {
    let arch = Arch::host()?;
    let files = [
        ("debian.sources", mirror.binary_sources(arch)),
        ("init", INIT.to_owned()),
        ("modules.txt", MODULES.to_owned()),
    ];
    for (name, text) in &files {
        let path = part.join(name);
        fs::write(&path, text).map_err(ArtifactError::io("write", &path))?;
    }
    let root = rustix::process::geteuid().is_root();
    let argv = mmdebstrap(if root { "root" } else { "unshare" }, part, arch, &mirror.proxies);
    let job = if root {
        let namespaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount"].map(str::to_owned);
        Job::new(STAGE, namespaces.into_iter().chain(argv)).env("TMPDIR", part)
    } else {
        // It works under user ids that cannot enter other people's home folders.
        Job::new(STAGE, argv).env("TMPDIR", "/var/tmp")
    };
    journal.run(job, |_| None).await?.map_err(|failure| explain(failure, &mirror.shown()))?;
    for (name, _) in files {
        let path = part.join(name);
        fs::remove_file(&path).map_err(ArtifactError::io("remove", &path))?;
    }
    Ok(())
}

/// The arguments of mmdebstrap, which unpacks the packages, lets the script work on them, and throws
/// all but the kit away.
fn mmdebstrap(mode: &str, part: &Path, arch: Arch, proxies: &[String]) -> Vec<String> {
    let at = |name: &str| part.join(name).display().to_string();
    let kit = FILES.map(|name| format!("/kit/{name}")).join(" ");
    let mut argv = vec![
        "mmdebstrap".to_owned(),
        format!("--mode={mode}"),
        "--variant=extract".to_owned(),
        "--format=null".to_owned(),
        format!("--include={},busybox-static", package(arch)),
        r#"--aptopt=APT::Install-Recommends "false""#.to_owned(),
        "--dpkgopt=path-exclude=/usr/share/*".to_owned(),
        format!("--extract-hook=copy-in {} {} /", quoted(&at("init")), quoted(&at("modules.txt"))),
        format!("--extract-hook={SCRIPT}"),
        format!("--extract-hook=copy-out {kit} {}", quoted(&part.display().to_string())),
    ];
    argv.extend(proxies.iter().map(|line| format!("--aptopt={}", line.trim_end_matches(';'))));
    argv.extend([SUITE.to_owned(), "-".to_owned(), at("debian.sources")]);
    argv
}

/// A path for mmdebstrap's special hooks, which split words as a shell does.
fn quoted(path: &str) -> String {
    skiff_runner::Command::quote(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_is_made_of_the_cloud_kernel_and_our_init() {
        let argv = mmdebstrap("root", Path::new("/p q"), Arch::Amd64, &["Acquire::x \"y\";".to_owned()]);
        assert!(argv.contains(&"--include=linux-image-cloud-amd64,busybox-static".to_owned()));
        assert!(argv.contains(&"--extract-hook=copy-in '/p q/init' '/p q/modules.txt' /".to_owned()), "{argv:?}");
        assert!(argv.contains(&"--extract-hook=copy-out /kit/vmlinuz /kit/initrd /kit/modules.tar '/p q'".to_owned()));
        assert!(argv.contains(&"--aptopt=Acquire::x \"y\"".to_owned()));
        assert_eq!(argv[argv.len() - 3..], ["bookworm", "-", "/p q/debian.sources"]);
        assert!(mmdebstrap("unshare", Path::new("/p"), Arch::Arm64, &[])[4].contains("cloud-arm64"));
    }

    #[tokio::test]
    async fn a_kit_that_is_there_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = VmKitStore::new(NodeImageOptions { cache: dir.path().into(), mirror: None, keyring: None });
        let folder = store.folder().unwrap();
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(store.build(&skiff_report::Silent).await.unwrap(), folder);
    }

    #[test]
    fn scripts_are_scripts_and_modules_are_early_or_late() {
        assert!(INIT.starts_with("#!/bin/busybox sh\n"));
        let mut words = MODULES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        assert!(words.all(|line| line.starts_with("early ") || line.starts_with("late ")));
    }
}
