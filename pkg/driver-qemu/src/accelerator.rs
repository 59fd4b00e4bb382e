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
use skiff_runner::{Command, LocalRunner, RunError, Runner};
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

    fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Hvf => "HVF",
            Self::Tcg => "TCG",
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

/// What was found out, and under which circumstances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    boot: String,
    qemu: String,
    accelerator: Accelerator,
    /// Why it is not the processor.
    #[serde(default)]
    why: Option<String>,
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
    /// What the host might have.
    pub(crate) host: HostHelp,
}

/// What a host might run machines with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostHelp {
    /// Nothing but QEMU itself if absent.
    accelerator: Option<Accelerator>,
    /// The device behind it, if there is one.
    device: Option<PathBuf>,
}

impl HostHelp {
    /// What this host might have.
    pub(crate) fn of_this_host() -> Self {
        let accelerator = Accelerator::of_system();
        Self { accelerator, device: (accelerator == Some(Accelerator::Kvm)).then(|| KVM.into()) }
    }

    /// What there is to try, or why nothing need be tried.
    fn candidate(&self) -> Result<Accelerator, String> {
        let candidate = self.accelerator.ok_or_else(|| "this system runs no machines for QEMU".to_owned())?;
        self.device.as_deref().map_or(Ok(()), openable)?;
        Ok(candidate)
    }
}

impl Probe<'_> {
    /// The best accelerator that works here. Tells when it is not the processor.
    pub(crate) async fn choose(&self, reporter: &dyn Reporter) -> Accelerator {
        let (accelerator, fresh) = match self.host.candidate() {
            Err(why) => (Err(why), true),
            Ok(candidate) => match self.known() {
                Some(verdict) => (verdict, false),
                None => self.find_out(candidate).await,
            },
        };
        accelerator.unwrap_or_else(|why| {
            if fresh {
                reporter.warn(&format!("{why}: {SLOW}"));
            }
            Accelerator::Tcg
        })
    }

    /// Why machines are emulated here, if they are. Tries what is not known yet, if what a tiny machine boots is
    /// there.
    pub(crate) async fn emulation(&self) -> Option<String> {
        let candidate = match self.host.candidate() {
            Ok(candidate) => candidate,
            Err(why) => return Some(why),
        };
        match self.known() {
            Some(verdict) => verdict.err(),
            None if self.kernel.is_file() && self.initrd.is_file() => self.find_out(candidate).await.0.err(),
            None => None,
        }
    }

    /// What is found out by trying, and whether it was found out now.
    async fn find_out(&self, candidate: Accelerator) -> (Result<Accelerator, String>, bool) {
        // Nodes are made at the same time: one tries, and tells for all. Without the lock each tries.
        let _lock = Lock::take(&self.file.with_extension("lock")).await;
        if let Some(known) = self.known() {
            return (known, false);
        }
        let tried = self.works(candidate).await.map(|()| candidate);
        let tried = tried.map_err(|why| format!("{} does not work on this host ({why})", candidate.name()));
        let (boot, qemu, why) = (boot(), self.version.clone(), tried.as_ref().err().cloned());
        let verdict = Verdict { boot, qemu, accelerator: *tried.as_ref().unwrap_or(&Accelerator::Tcg), why };
        // Without the file the next start asks again.
        let _ = serde_json::to_vec(&verdict).map_err(io::Error::from).and_then(|text| fs::write(&self.file, text));
        (tried, true)
    }

    /// What was found out in this life of the host with this QEMU.
    fn known(&self) -> Option<Result<Accelerator, String>> {
        let verdict: Verdict = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        if verdict.boot != boot() || verdict.qemu != self.version {
            return None;
        }
        Some(match verdict.accelerator {
            Accelerator::Tcg => Err(verdict.why.unwrap_or_else(|| "no accelerator works on this host".to_owned())),
            works => Ok(works),
        })
    }

    /// Starts a tiny machine; an error says what came of it.
    async fn works(&self, accelerator: Accelerator) -> Result<(), String> {
        let arguments = arguments::probe(self.arch, accelerator, &self.kernel, &self.initrd);
        let argv = [self.program.to_owned()].into_iter().chain(arguments);
        match LocalRunner.output(Command::new(argv).timeout(PATIENCE)).await {
            Ok(output) if output.stdout_text().contains(DONE) => Ok(()),
            Ok(output) => {
                let told = output.stderr_text();
                let last = told.lines().rev().map(str::trim).find(|line| !line.is_empty());
                Err(last.map_or_else(|| "a tiny machine ended too early".to_owned(), str::to_owned))
            }
            Err(RunError::Timeout { .. }) => {
                Err(format!("a tiny machine did not start within {} s", PATIENCE.as_secs()))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What there is to say when machines are emulated.
const SLOW: &str = "machines are emulated, which is about ten times slower";

/// Whether this user may use the device; if not, why in words.
fn openable(path: &Path) -> Result<(), String> {
    File::options().read(true).write(true).open(path).map(drop).map_err(|error| refused(path, &error))
}

/// What keeps this user from the device, with the way out.
fn refused(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("this host has no {path} (is virtualization on in its firmware?)"),
        io::ErrorKind::PermissionDenied => {
            format!("this user may not use {path} (`sudo usermod -aG kvm $USER`, then log in again)")
        }
        _ => format!("{path} cannot be used ({error})"),
    }
}

/// Which life of the host this is.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[path = "accelerator/tests.rs"]
mod tests;
