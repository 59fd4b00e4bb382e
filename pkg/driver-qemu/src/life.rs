//! The life of a machine: started, halted, ended.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use sha2::{Digest, Sha256};
use skiff_config::{ClusterName, NodeName};
use skiff_driver::MachineState;
use skiff_report::{Diagnose, Reporter};
use skiff_runner::{Command, LocalRunner, RunError, Runner};
use skiff_store::Process;
use skiff_vm::{Machine, VmError, end, last_complaint, wait_gone};

use crate::{
    Accelerator, Error, QemuDriver,
    accelerator::{HostHelp, Probe},
    arguments::{Arch, Disk, Segment, Start, button_is_key},
    folders,
    qmp::Monitor,
    version,
};

/// How long QEMU may take until a machine runs its first instruction.
const START: Duration = Duration::from_secs(60);

/// What a machine's initial RAM disk says at its end.
const UP: &str = "skiff: machine is up";

/// How long it is waited for. Whoever wants to talk to the machine has a time of his own after that.
const BOOT: Duration = Duration::from_mins(10);

/// How often the console is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often its monitor is asked meanwhile.
const ASK: Duration = Duration::from_secs(2);

/// How long a machine may take to shut down; an emulated one is slow.
const GRACE: Duration = Duration::from_mins(2);

/// How often its power button is pressed: nobody listens while it starts.
const PRESS: Duration = Duration::from_secs(2);

/// How long QEMU may take to end when it is told to.
const QUIT: Duration = Duration::from_secs(10);

/// The longest path of a socket that every system takes.
const LONGEST_SOCKET: usize = 100;

/// A console log larger than this is put aside at the next start.
const LARGE_LOG: u64 = 1 << 20;

/// Least memory the kernel starts in.
const LEAST_MEMORY: u64 = 192 << 20;

/// Where a firmware is noted in a machine's record.
pub(crate) const FIRMWARE: &str = "firmware";

/// The two monitors: commands, questions.
pub(crate) fn monitors(machine: &Machine) -> [PathBuf; 2] {
    ["command.sock", "question.sock"].map(|name| socket(machine.folder(), name))
}

/// A path for a socket: in the machine's folder, or where that is too long for one, in /tmp.
pub(crate) fn socket(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    if path.as_os_str().len() <= LONGEST_SOCKET {
        return path;
    }
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let short: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PathBuf::from(format!("/tmp/skiff-{short}.sock"))
}

impl QemuDriver {
    /// The process of a machine, if it runs. One that skiff was killed before it could note is found too.
    pub(crate) fn process(&self, machine: &Machine) -> Option<Process> {
        machine.pid_file().alive().or_else(|| {
            let pid: u32 = fs::read_to_string(machine.file("qemu.pid")).ok()?.trim().parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let folder = machine.folder().display().to_string();
            let ours = String::from_utf8_lossy(&line).contains(&format!("{folder}/qemu.pid"));
            if ours { machine.pid_file().write(pid).ok() } else { None }
        })
    }

    /// What a machine does.
    pub(crate) async fn state(&self, machine: &Machine) -> Result<MachineState, Error> {
        if self.process(machine).is_none() {
            return Ok(self.machines.resting_state(machine).await?);
        }
        let [_, questions] = monitors(machine);
        let status = match Monitor::connect(&questions, &machine.record.name()?).await {
            Ok(mut monitor) => monitor.status().await,
            Err(error) => Err(error),
        };
        Ok(match status.as_deref() {
            Ok("io-error") => MachineState::Paused,
            Ok(status) if is_halted(status) => MachineState::Paused,
            Ok("internal-error" | "guest-panicked") => MachineState::Broken,
            Ok(_) => MachineState::Running,
            // It may have ended while it was asked; else somebody else has the monitor.
            Err(_) if self.process(machine).is_none() => self.machines.resting_state(machine).await?,
            Err(_) => MachineState::Running,
        })
    }

    /// Starts a machine, or lets it go on.
    pub(crate) async fn start_machine(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let mut machine = self.machines.get(cluster, node)?;
        if self.process(&machine).is_some() {
            return self.thaw(&machine).await;
        }
        self.launch(&mut machine, reporter).await
    }

    /// Starts a machine that is off.
    async fn launch(&self, machine: &mut Machine, reporter: &dyn Reporter) -> Result<(), Error> {
        let read = self.spawn(machine, false, reporter).await?;
        self.wait_up(machine, read).await
    }

    /// Starts the process of a machine that is off; with `halted` it does not run its first instruction.
    /// Returns how much was on the machine's console before.
    pub(crate) async fn spawn(
        &self,
        machine: &mut Machine,
        halted: bool,
        reporter: &dyn Reporter,
    ) -> Result<usize, Error> {
        let image = self.machines.ready(machine).await?;
        let program = self.program()?;
        let version = version::of(&program).await?;
        let probe = self.probe(&program, version.to_string(), image.kernel(), image.initrd())?;
        let accelerator = probe.choose(reporter).await;
        let start = Start { halted, ..self.start_of(machine, &image, accelerator)? };
        if let Some(path) = start.firmware.as_ref().filter(|path| !path.is_file()) {
            return Err(Error::FirmwareMissing { path: path.clone() });
        }
        put_aside(&machine.serial_log());
        // It says why the last start failed, and nothing about this one.
        let _ = fs::remove_file(machine.log());
        let read = console(machine).len();
        let arguments = start.arguments()?;
        let before = machine.record.started;
        // Should skiff be killed from here on, the machine may have run.
        machine.record.started = true;
        machine.save()?;
        folders::serve(machine).await?;
        let argv = [program].into_iter().chain(arguments);
        let ran = LocalRunner.output(Command::new(argv).timeout(START)).await;
        let node = machine.record.name()?;
        let failure = match ran {
            Ok(output) if output.status == 0 => None,
            Ok(output) => {
                let text = output.stderr_text();
                // The log helps those who look at the machine's files; the failure is told anyway.
                let _ = append(&machine.log(), &text);
                Some(failure(node, &machine.record.ports, &text))
            }
            Err(RunError::Timeout { .. }) => Some(Error::NotStarting { node, detail: "it takes too long".to_owned() }),
            Err(source) => Some(VmError::Tool { doing: "starting QEMU".to_owned(), source }.into()),
        };
        if let Some(failure) = failure {
            folders::dismiss(machine);
            machine.record.started = before;
            machine.save()?;
            return Err(failure);
        }
        // Looking for the process notes it with its start time.
        if self.process(machine).is_none() {
            return Err(self.ended(machine, read));
        }
        Ok(read)
    }

    /// Waits until a machine's own services begin to start; one that ends before says why, and so does one that is
    /// halted since the host is full.
    async fn wait_up(&self, machine: &Machine, read: usize) -> Result<(), Error> {
        let end = Instant::now() + BOOT;
        let mut ask = Instant::now() + ASK;
        while Instant::now() < end && !said(machine, read).contains(UP) {
            if self.process(machine).is_none() {
                return Err(self.ended(machine, read));
            }
            if Instant::now() >= ask {
                ask = Instant::now() + ASK;
                if let Some(error) = disk_trouble(machine).await {
                    return Err(error);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Why a machine ended, as far as its console tells.
    fn ended(&self, machine: &Machine, read: usize) -> Error {
        let said = said(machine, read);
        let last = || said.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
        let detail = last_complaint(&said).or_else(last).unwrap_or_else(|| "it ended at once".to_owned());
        match machine.record.name() {
            Ok(node) => Error::NotStarting { node, detail },
            Err(error) => error.into(),
        }
    }

    pub(crate) fn probe<'a>(
        &self,
        program: &'a str,
        version: String,
        kernel: PathBuf,
        initrd: PathBuf,
    ) -> Result<Probe<'a>, Error> {
        let (arch, host) = (Arch::host()?, HostHelp::of_this_host());
        Ok(Probe {
            program,
            version,
            arch,
            kernel,
            initrd,
            file: self.machines.folder().join("accelerator.json"),
            host,
        })
    }

    pub(crate) fn start_of(
        &self,
        machine: &Machine,
        image: &skiff_vm::Image,
        accelerator: Accelerator,
    ) -> Result<Start, Error> {
        let record = &machine.record;
        let layer = |name: &str, path: PathBuf| Disk { name: name.to_owned(), path, format: "qcow2" };
        let mut disks = vec![layer("root", machine.root_disk()), layer("data", machine.data_disk())];
        disks.push(Disk { name: "seed".to_owned(), path: machine.seed(), format: "raw" });
        disks.extend(machine.extra_disks().into_iter().enumerate().map(|(n, path)| layer(&format!("extra{n}"), path)));
        let host = self.host()?;
        Ok(Start {
            arch: Arch::host()?,
            accelerator,
            name: record.name()?.to_string(),
            processors: record.processors(host.0),
            // Without a limit, what the host can spare.
            memory: record.memory.unwrap_or(host.1 / 4 * 3).max(LEAST_MEMORY),
            firmware: record.driver.get(FIRMWARE).map(PathBuf::from),
            kernel: image.kernel(),
            initrd: image.initrd(),
            disks,
            ports: record.ports.clone(),
            address: record.address,
            folders: folders::sockets(machine),
            segment: Segment::of(self.machines.folder(), record.cluster()?.as_str()),
            serial: machine.serial_log(),
            monitors: monitors(machine),
            pid_file: machine.file("qemu.pid"),
            halted: false,
        })
    }

    /// Lets a halted machine go on; nothing happens if it runs.
    async fn thaw(&self, machine: &Machine) -> Result<(), Error> {
        let node = machine.record.name()?;
        let mut monitor = Monitor::connect(&monitors(machine)[0], &node).await?;
        let status = monitor.status().await?;
        if !is_halted(&status) && status != "io-error" {
            return Ok(());
        }
        monitor.ask("cont", json!({})).await?;
        if status != "io-error" {
            return Ok(());
        }
        // It tries again what failed; if it fails again, it is halted again.
        tokio::time::sleep(Duration::from_millis(500)).await;
        halted_by_disk(machine, &node, &mut monitor).await?.map_or(Ok(()), Err)
    }

    /// Halts a machine.
    pub(crate) async fn pause_machine(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let machine = self.machines.get(cluster, node)?;
        if self.process(&machine).is_none() {
            let state = self.machines.resting_state(&machine).await?;
            return Err(VmError::NodeNotRunning { node: node.clone(), state }.into());
        }
        Monitor::connect(&monitors(&machine)[0], node).await?.ask("stop", json!({})).await.map(drop)
    }

    /// Ends a machine. With `gently` it is asked to shut down first.
    pub(crate) async fn end_machine(&self, machine: &Machine, gently: bool) -> Result<(), Error> {
        let Some(process) = self.process(machine) else { return self.forget(machine) };
        let node = machine.record.name()?;
        if gently {
            self.shut_down(machine, &node, &process).await;
        }
        if let Ok(mut monitor) = Monitor::connect(&monitors(machine)[0], &node).await {
            // It may end before it answers.
            let _ = monitor.ask("quit", json!({})).await;
            wait_gone(&process, QUIT).await;
        }
        if !end(&process, QUIT).await {
            return Err(VmError::NotEnding { node, pid: process.pid }.into());
        }
        self.forget(machine)
    }

    /// Presses the power button until the machine is off, or for as long as that may take.
    async fn shut_down(&self, machine: &Machine, node: &NodeName, process: &Process) {
        let Ok(mut monitor) = Monitor::connect(&monitors(machine)[0], node).await else { return };
        let firmware = machine.record.driver.contains_key(FIRMWARE);
        let is_key = Arch::host().is_ok_and(|arch| button_is_key(arch, firmware));
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            // A halted machine hears nothing. One whose disk fails is halted again, and is not waited for.
            match monitor.status().await.as_deref() {
                Ok(status) if is_halted(status) && monitor.ask("cont", json!({})).await.is_ok() => {}
                Ok("running") => {}
                _ => return,
            }
            if press(&mut monitor, is_key).await.is_err() || wait_gone(process, PRESS).await {
                return;
            }
        }
    }

    /// Removes what a process leaves behind.
    fn forget(&self, machine: &Machine) -> Result<(), Error> {
        machine.pid_file().remove()?;
        folders::dismiss(machine);
        for path in monitors(machine).into_iter().chain([machine.file("qemu.pid")]) {
            // QEMU has removed them, unless it was killed.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }
}

/// Presses the power button, be it a key or not.
async fn press(monitor: &mut Monitor, is_key: bool) -> Result<(), Error> {
    let pressed = match is_key {
        true => monitor.ask("send-key", json!({ "keys": [{ "type": "qcode", "data": "power" }] })).await,
        false => monitor.ask("system_powerdown", json!({})).await,
    };
    pressed.map(drop)
}

/// Why a machine is halted though nobody has asked for it, in words.
pub(crate) async fn trouble(machine: &Machine) -> Option<String> {
    let error = disk_trouble(machine).await?;
    Some(format!("{error}. {}", error.reason().advice))
}

/// Why a machine is halted though nobody has asked for it.
async fn disk_trouble(machine: &Machine) -> Option<Error> {
    let node = machine.record.name().ok()?;
    let [_, questions] = monitors(machine);
    let mut monitor = Monitor::connect(&questions, &node).await.ok()?;
    halted_by_disk(machine, &node, &mut monitor).await.ok()?
}

/// Why QEMU has halted a machine, if its disk is the reason.
async fn halted_by_disk(machine: &Machine, node: &NodeName, monitor: &mut Monitor) -> Result<Option<Error>, Error> {
    if monitor.status().await? != "io-error" {
        return Ok(None);
    }
    let blocks = monitor.ask("query-block", json!({})).await?;
    let full = blocks.as_array().is_some_and(|all| all.iter().any(|block| block["io-status"] == "nospace"));
    let (node, folder) = (node.clone(), machine.folder().to_owned());
    Ok(Some(if full { Error::HostFull { node, folder } } else { Error::DiskFailed { node, folder } }))
}

/// Whether QEMU's word for what a machine does means that somebody has halted it.
fn is_halted(status: &str) -> bool {
    ["paused", "postmigrate", "prelaunch", "restore-vm", "save-vm", "inmigrate"].contains(&status)
}

/// All that a machine has written to its console.
fn console(machine: &Machine) -> Vec<u8> {
    fs::read(machine.serial_log()).unwrap_or_default()
}

/// What it has written beyond what was there.
fn said(machine: &Machine, read: usize) -> String {
    String::from_utf8_lossy(console(machine).get(read..).unwrap_or_default()).into_owned()
}

/// Adds to a log: the servers of the machine's folders write there too.
fn append(log: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(log)?.write_all(text.as_bytes())
}

/// Puts a large log aside; what is older goes.
fn put_aside(log: &Path) {
    if fs::metadata(log).is_ok_and(|data| data.len() > LARGE_LOG) {
        // A log that stays is only longer.
        let _ = fs::rename(log, log.with_extension("old.log"));
    }
}

/// What QEMU's words mean.
fn failure(node: NodeName, ports: &[skiff_vm::PortForward], text: &str) -> Error {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let detail = line.split_once(": ").map_or(line, |(_, rest)| rest).trim().to_owned();
    if let Some((_, rule)) = text.split_once("Could not set up host forwarding rule '") {
        let host = rule.split_once('-').map_or(rule, |(host, _)| host);
        let host = host.trim_start_matches("tcp:").trim_start_matches("udp:");
        let port = host.parse().ok().or_else(|| ports.first().map(skiff_vm::PortForward::address));
        if let Some(address) = port {
            return VmError::PortTaken { node, address }.into();
        }
    }
    for words in ["could not load PC BIOS '", "could not find ROM image '", "Could not find ROM image '"] {
        if let Some((_, name)) = text.split_once(words) {
            return Error::FirmwareMissing { path: name.split('\'').next().unwrap_or_default().into() };
        }
    }
    if text.contains("No space left") {
        return VmError::File {
            action: "start a machine in",
            path: PathBuf::from("skiff's home folder"),
            source: io::ErrorKind::StorageFull.into(),
        }
        .into();
    }
    Error::NotStarting { node, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeName {
        "dev".parse().unwrap()
    }

    #[test]
    fn qemus_words_are_understood() {
        let told = |text: &str| failure(node(), &[], text);
        let port = told(
            "qemu-system-x86_64: -netdev user,id=out: Could not set up host forwarding rule 'tcp:127.0.0.1:20005-198.18.0.15:22'\n",
        );
        assert_eq!((port.reason().id, port.to_string().contains("127.0.0.1:20005")), ("GUEST_PORT_IN_USE", true));
        let firmware = told("qemu: could not load PC BIOS 'bios-256k.bin'\n");
        assert_eq!(firmware.reason().id, "PROVIDER_QEMU_FIRMWARE");
        let lock = told(
            "qemu-system-x86_64: -blockdev x: Failed to get \"write\" lock\nIs another process using the image?\n",
        );
        assert!(matches!(lock, Error::NotStarting { .. }), "{lock}");
        assert!(told("").to_string().ends_with("it said nothing"));
    }

    #[test]
    fn a_socket_in_a_deep_folder_gets_a_short_path() {
        assert_eq!(socket(Path::new("/a"), "q.sock"), Path::new("/a/q.sock"));
        let (one, other) =
            (socket(Path::new(&"/a".repeat(90)), "q.sock"), socket(Path::new(&"/b".repeat(90)), "q.sock"));
        assert!(one.as_os_str().len() <= LONGEST_SOCKET && one != other, "{}", one.display());
    }
}
