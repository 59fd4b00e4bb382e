//! Who runs the machine's instructions: the processor itself, where that works, else QEMU.
//!
//! That `/dev/kvm` can be opened says little: there are hosts where machines then hang. So a tiny
//! machine is started once a boot and QEMU version, and the verdict is kept.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use skiff_report::Reporter;
use skiff_runner::{Command, LocalRunner, Runner};
use skiff_vm::Lock;

use crate::arguments::{self, Arch};

/// Where the kernel offers its help.
const KVM: &str = "/dev/kvm";

/// What the tiny machine says when it is up. It takes about a second where the processor helps.
const DONE: &str = "skiff: probe done";

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can run a machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor, through Linux.
    Kvm,
    /// The processor, through macOS.
    Hvf,
    /// QEMU itself, about ten times slower.
    Tcg,
}

impl Accelerator {
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Tcg => "tcg,thread=multi",
        }
    }

    /// What the host's system might have.
    fn of_system() -> Option<Self> {
        match std::env::consts::OS {
            "linux" => Some(Self::Kvm),
            "macos" => Some(Self::Hvf),
            _ => None,
        }
    }
}

/// Whether machines are emulated on this host, as far as that is known without starting one: a verdict
/// of this life of the host, else whether there is a device at all.
pub(crate) fn emulates(file: &Path) -> bool {
    let verdict = fs::read(file).ok().and_then(|text| serde_json::from_slice::<Verdict>(&text).ok());
    if let Some(verdict) = verdict.filter(|verdict| verdict.boot == boot()) {
        return verdict.accelerator == Accelerator::Tcg;
    }
    match Accelerator::of_system() {
        Some(Accelerator::Kvm) => openable(Path::new(KVM)).is_err(),
        Some(_) => false,
        None => true,
    }
}

/// What was found out, and under which circumstances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    boot: String,
    qemu: String,
    accelerator: Accelerator,
}

/// All that a probe needs.
pub(crate) struct Probe<'a> {
    pub(crate) program: &'a str,
    pub(crate) version: String,
    pub(crate) arch: Arch,
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    /// Where the verdict is kept.
    pub(crate) file: PathBuf,
}

impl Probe<'_> {
    /// The best accelerator that works here. Tells when it is not the processor.
    pub(crate) async fn choose(&self, reporter: &dyn Reporter) -> Accelerator {
        let Some(candidate) = Accelerator::of_system() else { return Accelerator::Tcg };
        if candidate == Accelerator::Kvm
            && let Err(error) = openable(Path::new(KVM))
        {
            reporter.warn(&format!("{error}: {}", slow()));
            return Accelerator::Tcg;
        }
        if let Some(known) = self.known() {
            return known;
        }
        // Nodes are made at the same time: one tries, and tells for all. Without the lock each tries.
        let _lock = Lock::take(&self.file.with_extension("lock")).await;
        if let Some(known) = self.known() {
            return known;
        }
        let accelerator = if self.works(candidate).await {
            candidate
        } else {
            let name = candidate.argument().to_uppercase();
            let seconds = PATIENCE.as_secs();
            reporter.warn(&format!(
                "{name} does not work on this host (a tiny machine did not start within {seconds} s): {}",
                slow()
            ));
            Accelerator::Tcg
        };
        let verdict = Verdict { boot: boot(), qemu: self.version.clone(), accelerator };
        // Without the file the next start asks again.
        let _ = serde_json::to_vec(&verdict).map_err(io::Error::from).and_then(|text| fs::write(&self.file, text));
        accelerator
    }

    fn known(&self) -> Option<Accelerator> {
        let verdict: Verdict = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        (verdict.boot == boot() && verdict.qemu == self.version).then_some(verdict.accelerator)
    }

    async fn works(&self, accelerator: Accelerator) -> bool {
        let arguments = arguments::probe(self.arch, accelerator, &self.kernel, &self.initrd);
        let argv = [self.program.to_owned()].into_iter().chain(arguments);
        match LocalRunner.output(Command::new(argv).timeout(PATIENCE)).await {
            Ok(output) => output.stdout_text().contains(DONE),
            Err(error) => {
                tracing::info!(%error, "probe of {accelerator:?}");
                false
            }
        }
    }
}

fn slow() -> &'static str {
    "machines are emulated, which is about ten times slower"
}

/// Whether this user may use the device; if not, why in words.
fn openable(path: &Path) -> Result<(), String> {
    match File::options().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("this host has no {} (is virtualization on in its firmware?)", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(format!("this user may not use {} (`sudo usermod -aG kvm $USER`, then log in again)", path.display()))
        }
        Err(error) => Err(format!("{} cannot be used ({error})", path.display())),
    }
}

/// Which life of the host this is.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use skiff_report::Recorder;

    use super::*;

    /// A program that stands for QEMU and counts its runs.
    fn stand_in(dir: &Path, script: &str) -> String {
        let path = dir.join("qemu");
        fs::write(&path, format!("#!/bin/sh\necho run >>{}/runs\n{script}\n", dir.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn probe<'a>(dir: &Path, program: &'a str) -> Probe<'a> {
        let (kernel, initrd, file) = (dir.join("k"), dir.join("i"), dir.join("verdict.json"));
        Probe { program, version: "7.2.0".to_owned(), arch: Arch::X86, kernel, initrd, file }
    }

    fn runs(dir: &Path) -> usize {
        fs::read_to_string(dir.join("runs")).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn what_starts_the_tiny_machine_works_and_what_only_ends_does_not() {
        for (script, works) in [("echo skiff: probe done", true), ("echo booting", false), ("exit 1", false)] {
            let dir = tempfile::tempdir().unwrap();
            let program = stand_in(dir.path(), script);
            assert_eq!(probe(dir.path(), &program).works(Accelerator::Kvm).await, works, "{script}");
        }
    }

    #[tokio::test]
    async fn a_verdict_holds_for_one_boot_and_one_version() {
        let dir = tempfile::tempdir().unwrap();
        let program = stand_in(dir.path(), "echo skiff: probe done");
        let verdict = Verdict { boot: boot(), qemu: "7.2.0".to_owned(), accelerator: Accelerator::Tcg };
        fs::write(dir.path().join("verdict.json"), serde_json::to_vec(&verdict).unwrap()).unwrap();
        assert_eq!(probe(dir.path(), &program).known(), Some(Accelerator::Tcg));
        let newer = Probe { version: "8.0.0".to_owned(), ..probe(dir.path(), &program) };
        assert_eq!(newer.known(), None);
        let rebooted = Verdict { boot: "other".to_owned(), ..verdict };
        fs::write(dir.path().join("verdict.json"), serde_json::to_vec(&rebooted).unwrap()).unwrap();
        assert_eq!(probe(dir.path(), &program).known(), None);
        let reporter = Recorder::default();
        let first = probe(dir.path(), &program).choose(&reporter).await;
        let asked = runs(dir.path());
        assert_eq!(probe(dir.path(), &program).choose(&reporter).await, first);
        assert_eq!(runs(dir.path()), asked, "the second time the verdict is known");
    }

    #[test]
    fn what_a_machine_has_shown_counts_more_than_a_device_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("verdict.json");
        let mut verdict = Verdict { boot: boot(), qemu: "7.2.0".to_owned(), accelerator: Accelerator::Tcg };
        for (accelerator, expected) in [(Accelerator::Tcg, true), (Accelerator::Kvm, false)] {
            verdict.accelerator = accelerator;
            fs::write(&file, serde_json::to_vec(&verdict).unwrap()).unwrap();
            assert_eq!(emulates(&file), expected);
        }
    }

    #[test]
    fn a_device_that_cannot_be_used_is_told_with_the_way_out() {
        let error = openable(Path::new("/nonexistent/kvm")).unwrap_err();
        assert!(error.contains("firmware"), "{error}");
    }
}
