//! The guest, and the process around it.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{Surroundings, arguments::Machine, bootpd};

/// First word of the stand-in's command line when it is to watch over itself.
pub(super) const WATCH: &str = "watch";

/// Size of hyperkit's console ring.
const RING: u64 = 65_536;

/// Ports of the guest that can be reached.
const PORTS: [u16; 2] = [22, 8443];

/// How often the console and the processes are looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// What the guest says on its console once it has an address.
const HAS_ADDRESS: &str = "skiff: address ";

/// The console as hyperkit keeps it: a link to a terminal, and a ring of the last bytes.
pub(super) struct Console {
    ring: Option<File>,
    next: u64,
    link: Option<PathBuf>,
    /// The last that was written, to find words in.
    tail: String,
}

impl Console {
    pub(super) fn open(machine: &Machine) -> Result<Self, String> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        let ring = match &machine.console {
            Some(path) => {
                let file = File::create(path).map_err(failed(path))?;
                file.set_len(RING).map_err(failed(path))?;
                Some(file)
            }
            None => None,
        };
        if let Some(link) = &machine.terminal {
            let _ = fs::remove_file(link);
            symlink("/dev/null", link).map_err(failed(link))?;
        }
        Ok(Self { ring, next: 0, link: machine.terminal.clone(), tail: String::new() })
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(ring) = &self.ring {
                let _ = ring.write_all_at(&[*byte], self.next);
            }
            self.next = (self.next + 1) % RING;
        }
        self.tail.push_str(&String::from_utf8_lossy(bytes));
        if let Some(cut) = self.tail.len().checked_sub(4096) {
            self.tail = self.tail.chars().skip(cut).collect();
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = fs::remove_file(link);
        }
    }
}

/// Runs the guest until it ends; SIGTERM presses its power button.
pub(super) fn run(machine: &Machine, surroundings: &Surroundings, mut console: Console) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let name = hostname(machine);
    runtime.block_on(async {
        let mut button = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let uuid = machine.uuid.unwrap_or_default();
        if !surroundings.has_guest {
            console.write(b"no guest\n");
            bootpd::enter(&surroundings.leases, &name, uuid)?;
            button.recv().await;
            return Ok(());
        }
        let mut guest = Guest::start(machine)?;
        let mut entered = false;
        loop {
            tokio::select! {
                _ = button.recv() => guest.press_button(),
                () = sleep(PAUSE) => {}
            }
            guest.read_console(&mut console);
            if !entered && console.tail.contains(HAS_ADDRESS) {
                bootpd::enter(&surroundings.leases, &name, uuid)?;
                entered = true;
            }
            if let Some(status) = guest.emulator.try_wait().map_err(|error| error.to_string())? {
                guest.read_console(&mut console);
                return if status.success() { Ok(()) } else { Err(format!("qemu ended: {status}")) };
            }
        }
    })
}

/// The name a guest gives to the DHCP server: its host name, which the test's machines are told on
/// the kernel's command line.
fn hostname(machine: &Machine) -> String {
    let word = machine.command_line.split(' ').find_map(|word| word.strip_prefix("systemd.hostname="));
    word.unwrap_or("guest").to_owned()
}

struct Guest {
    emulator: Child,
    serial: PathBuf,
    read: u64,
}

impl Guest {
    fn start(machine: &Machine) -> Result<Self, String> {
        let folder = machine.console.as_deref().and_then(Path::parent).unwrap_or(Path::new("/tmp"));
        let serial = folder.join("standin-serial");
        File::create(&serial).map_err(|error| format!("{}: {error}", serial.display()))?;
        let mut command = Command::new("qemu-system-x86_64");
        command.args(words(machine, &serial)).stdin(Stdio::piped()).stdout(Stdio::null());
        let emulator = command.spawn().map_err(|error| format!("qemu-system-x86_64: {error}"))?;
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        // Somebody has to end and freeze QEMU when this process is ended or frozen without a chance
        // to say so.
        Command::new(this)
            .args([WATCH, &std::process::id().to_string(), &emulator.id().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Self { emulator, serial, read: 0 })
    }

    /// Presses the power button, which a monitor on standard input does.
    fn press_button(&mut self) {
        if let Some(monitor) = &mut self.emulator.stdin {
            let _ = monitor.write_all(b"system_powerdown\n").and_then(|()| monitor.flush());
        }
    }

    fn read_console(&mut self, console: &mut Console) {
        let Ok(mut file) = File::open(&self.serial) else { return };
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut bytes));
        if read.is_ok() {
            self.read += bytes.len() as u64;
            console.write(&bytes);
        }
    }
}

/// QEMU's command line for a machine.
fn words(machine: &Machine, serial: &Path) -> Vec<String> {
    let uuid = machine.uuid.unwrap_or_default();
    let address = bootpd::address(uuid);
    let forwards: String = PORTS.iter().map(|port| format!(",hostfwd=tcp:{address}:{port}-:{port}")).collect();
    let mut words: Vec<String> = [
        "-machine",
        "q35",
        "-accel",
        "tcg,thread=multi,tb-size=256",
        "-cpu",
        "max",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-monitor",
        "stdio",
        "-device",
        "virtio-rng-pci",
        "-serial",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut add =
        |flag: &str, value: String| words.extend([flag.to_owned(), value].into_iter().filter(|word| !word.is_empty()));
    add("", format!("file:{}", serial.display()));
    add("-smp", machine.cpus.to_string());
    add("-m", format!("{}M", machine.memory >> 20));
    for disk in &machine.disks {
        let mode = if disk.read_only { ",readonly=on" } else { "" };
        add("-drive", format!("if=virtio,format=raw,cache=unsafe,file={}{mode}", disk.path.display()));
    }
    if machine.network {
        add("-netdev", format!("user,id=net{forwards}"));
        add("-device", format!("virtio-net-pci,netdev=net,mac={}", bootpd::mac(uuid)));
    }
    add("-kernel", machine.kernel.display().to_string());
    add("-initrd", machine.initrd.display().to_string());
    // hyperkit's timer is the host's own. An emulator on a busy host may be late for the kernel's look
    // at it, which then panics.
    add("-append", format!("{} no_timer_check", machine.command_line));
    words
}

/// Watches over a hypervisor that may be ended or frozen at any moment, and does the same to its
/// emulator: to the test both are one process.
pub(super) fn watch(hypervisor: &str, emulator: &str) -> ExitCode {
    let mut frozen = false;
    loop {
        std::thread::sleep(PAUSE);
        match state(hypervisor) {
            Some('Z') | None => {
                kill("-KILL", emulator);
                return ExitCode::SUCCESS;
            }
            Some(state) => {
                let stopped = matches!(state, 'T' | 't');
                if stopped != frozen {
                    kill(if stopped { "-STOP" } else { "-CONT" }, emulator);
                    frozen = stopped;
                }
            }
        }
        if state(emulator).is_none() {
            return ExitCode::SUCCESS;
        }
    }
}

/// The state letter of a process.
fn state(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn kill(signal: &str, pid: &str) {
    let _ = Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status();
}
