//! What QEMU is started with: pure.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use serde_json::json;
use sha2::{Digest, Sha256};
use skiff_vm::{Egress, PortForward, SharedFolder};

use crate::{Accelerator, Error};

/// The net in which a machine reaches the host and the world. Every machine has one of its own, so it
/// is always the same; it lies among the addresses set aside for tests, which no network uses.
const EGRESS_NET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const EGRESS_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const EGRESS_DNS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
const EGRESS_GUEST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 15);
const EGRESS_PREFIX: u8 = 24;

/// What a machine's kernel is told. The console is where `skiff logs` reads; a kernel that panics ends
/// the machine, so that it counts as stopped.
const KERNEL_WORDS: &str = "panic=-1 quiet loglevel=4 systemd.show_status=error net.ifnames=0";

/// What an emulated PC's kernel is told besides; `README.md` has the measurements.
///
/// Its clock is the TSC, which is the host's own, the same for all processors. Left alone the kernel takes the HPET,
/// since the emulated TSC promises nothing; each look at the HPET ends in a lock that all processors share, and
/// programs look at the clock all the time. Its timers tick (every 4 ms) and are not set to the moment: that is a
/// write to the local APIC, under the same lock, for each of the thousand short sleeps a second of Go programs. The
/// look whether timer interrupts come counts on time that a busy host may not give the emulator, and ends in a panic.
///
/// Emulation runs nothing ahead, so there is nothing to mitigate; nor does it pay to clear memory twice, or to
/// account for pressure that nobody asks for.
const EMULATED_PC_WORDS: &str = "tsc=reliable highres=off no_timer_check mitigations=off init_on_alloc=0 psi=0 \
                                 rcupdate.rcu_expedited=1 nowatchdog";

/// The net every machine has inside.
pub(crate) fn inner() -> Ipv4Net {
    Ipv4Net::new_assert(EGRESS_NET, EGRESS_PREFIX)
}

/// How machines reach the world.
pub(crate) fn egress() -> Egress {
    Egress::Fixed { address: Ipv4Net::new_assert(EGRESS_GUEST, EGRESS_PREFIX), gateway: EGRESS_HOST, dns: EGRESS_DNS }
}

/// Processors that machines are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    X86,
    Arm,
}

impl Arch {
    /// This host's.
    pub(crate) fn host() -> Result<Self, Error> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86),
            "aarch64" => Ok(Self::Arm),
            arch => Err(Error::ArchUnsupported { arch: arch.to_owned() }),
        }
    }

    /// QEMU's program for it.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::X86 => "qemu-system-x86_64",
            Self::Arm => "qemu-system-aarch64",
        }
    }

    fn machine(self) -> &'static str {
        match self {
            Self::X86 => "q35",
            Self::Arm => "virt,gic-version=max",
        }
    }

    /// The processor a machine has. A fifth level of page tables only costs an emulator time; and it copies a string
    /// byte by byte where a processor promises to be fast at that (ERMS), else by eight.
    fn processor(self, accelerator: Accelerator) -> &'static str {
        match (accelerator, self) {
            (Accelerator::Tcg, Self::X86) => "max,la57=off,erms=off",
            (Accelerator::Tcg, Self::Arm) => "max",
            _ => "host",
        }
    }

    fn console(self) -> &'static str {
        match self {
            Self::X86 => "ttyS0",
            Self::Arm => "ttyAMA0",
        }
    }
}

/// A disk of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Its name in the monitor.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// `qcow2` or `raw`; raw ones are only read.
    pub(crate) format: &'static str,
}

/// All that a machine is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) arch: Arch,
    pub(crate) accelerator: Accelerator,
    pub(crate) name: String,
    pub(crate) processors: u32,
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) firmware: Option<PathBuf>,
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    /// In the order the machine sees them.
    pub(crate) disks: Vec<Disk>,
    pub(crate) ports: Vec<PortForward>,
    /// The node's address: hardware addresses follow from it.
    pub(crate) address: Ipv4Addr,
    pub(crate) segment: Segment,
    /// Where the servers of the host's folders listen.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) serial: PathBuf,
    /// One for commands, one for questions: each serves one client at a time.
    pub(crate) monitors: [PathBuf; 2],
    pub(crate) pid_file: PathBuf,
    /// The machine does not run before it is told to.
    pub(crate) halted: bool,
}

/// Where the nodes of one cluster meet: frames go to a multicast group on the host's loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    group: Ipv4Addr,
    port: u16,
}

impl Segment {
    /// The segment of a cluster. It follows from what is unique about the cluster on this host.
    pub(crate) fn of(folder: &Path, cluster: &str) -> Self {
        let hash = Sha256::digest(format!("{}\0{cluster}", folder.display()));
        // 239.255.0.0/16 stays on the local network; ports above 32768 are given out by the system.
        let port = 10_000 + u16::from_be_bytes([hash[2], hash[3]]) % 20_000;
        Self { group: Ipv4Addr::new(239, 255, hash[0], hash[1]), port }
    }
}

impl Start {
    /// The arguments behind the program's name.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, Error> {
        let mut arguments = Vec::new();
        let mut add = |name: &str, value: String| arguments.extend([format!("-{name}"), value]);
        add("name", format!("{},process=skiff-{}", self.name, self.name));
        // Who serves a folder writes into the machine's memory.
        let (memory, shared) = (self.memory >> 20, if self.folders.is_empty() { "" } else { ",memory-backend=ram" });
        if !self.folders.is_empty() {
            add("object", format!("memory-backend-memfd,id=ram,size={memory}M,share=on"));
        }
        add("machine", format!("{}{shared}", self.arch.machine()));
        add("accel", self.accelerator.argument().to_owned());
        add("cpu", self.arch.processor(self.accelerator).to_owned());
        add("smp", self.processors.to_string());
        add("m", format!("{memory}M"));
        if let Some(firmware) = &self.firmware {
            add("bios", firmware.display().to_string());
        }
        add("kernel", self.kernel.display().to_string());
        add("initrd", self.initrd.display().to_string());
        add("append", self.kernel_words());
        for disk in &self.disks {
            let raw = disk.format == "raw";
            let node = json!({
                "driver": disk.format, "node-name": disk.name, "read-only": raw,
                "discard": if raw { "ignore" } else { "unmap" },
                "file": { "driver": "file", "filename": disk.path },
            });
            add("blockdev", node.to_string());
            // A host without room halts the machine: it would lose data if it went on.
            add("device", format!("virtio-blk-pci,drive={},werror=stop,rerror=report", disk.name));
        }
        add("netdev", self.egress()?);
        add("device", format!("virtio-net-pci,netdev=out,mac={},romfile=", self.hardware_address(0x00)));
        let Segment { group, port } = self.segment;
        add("netdev", format!("socket,id=lan,mcast={group}:{port},localaddr=127.0.0.1"));
        add("device", format!("virtio-net-pci,netdev=lan,mac={},romfile=", self.hardware_address(0x01)));
        if button_is_key(self.arch, self.firmware.is_some()) {
            add("device", "virtio-keyboard-pci".to_owned());
        }
        add("object", "rng-random,id=rng,filename=/dev/urandom".to_owned());
        add("device", "virtio-rng-pci,rng=rng".to_owned());
        for (n, path) in self.folders.iter().enumerate() {
            add("chardev", format!("socket,id=folder{n},path={}", escaped(path)));
            add("device", format!("vhost-user-fs-pci,chardev=folder{n},tag={}", SharedFolder::tag(n)));
        }
        add("chardev", format!("file,id=console,append=on,path={}", escaped(&self.serial)));
        add("serial", "chardev:console".to_owned());
        for (name, path) in ["command", "question"].iter().zip(&self.monitors) {
            add("chardev", format!("socket,id={name},server=on,wait=off,path={}", escaped(path)));
            add("mon", format!("chardev={name},mode=control"));
        }
        add("display", "none".to_owned());
        add("pidfile", self.pid_file.display().to_string());
        let flags = ["-nodefaults", "-no-user-config", "-no-reboot", "-daemonize"];
        arguments.extend(flags.map(str::to_owned));
        arguments.extend(self.halted.then(|| "-S".to_owned()));
        Ok(arguments)
    }

    fn kernel_words(&self) -> String {
        let words = format!("console={} {KERNEL_WORDS}", self.arch.console());
        match (self.accelerator, self.arch) {
            (Accelerator::Tcg, Arch::X86) => format!("{words} {EMULATED_PC_WORDS}"),
            _ => words,
        }
    }

    /// The network interface to the host, with its forwarded ports.
    fn egress(&self) -> Result<String, Error> {
        let net = inner();
        let mut text = format!("user,id=out,ipv6=off,net={net},host={EGRESS_HOST},dns={EGRESS_DNS}");
        for port in &self.ports {
            let IpAddr::V4(host) = port.host_ip else {
                return Err(Error::AddressUnsupported { address: port.host_ip });
            };
            let protocol = if port.udp { "udp" } else { "tcp" };
            // Writing to a String cannot fail.
            let _ = write!(text, ",hostfwd={protocol}:{host}:{}-{EGRESS_GUEST}:{}", port.host_port, port.node_port);
        }
        Ok(text)
    }

    /// A hardware address, unique in the cluster's segment.
    fn hardware_address(&self, interface: u8) -> String {
        let [_, b, c, d] = self.address.octets();
        format!("52:54:{interface:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

/// True for a machine whose power button is a key. Without a firmware an ARM64 machine has no ACPI: its button
/// is a line of a GPIO, for which Debian's cloud kernel has no driver; for keyboards it has one.
pub(crate) fn button_is_key(arch: Arch, firmware: bool) -> bool {
    arch == Arch::Arm && !firmware
}

/// What QEMU is started with to see whether an accelerator works.
pub(crate) fn probe(arch: Arch, accelerator: Accelerator, kernel: &Path, initrd: &Path) -> Vec<String> {
    let words: Vec<String> = [
        ("machine", arch.machine()),
        ("accel", accelerator.argument()),
        ("cpu", arch.processor(accelerator)),
        ("m", "256M"),
        ("kernel", &kernel.display().to_string()),
        ("initrd", &initrd.display().to_string()),
        ("append", &format!("console={} panic=-1 quiet skiff.probe", arch.console())),
        ("serial", "stdio"),
        ("display", "none"),
        ("monitor", "none"),
    ]
    .into_iter()
    .flat_map(|(name, value)| [format!("-{name}"), value.to_owned()])
    .collect();
    words.into_iter().chain(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned)).collect()
}

/// A path in a list of options: commas are doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
#[path = "arguments/tests.rs"]
mod tests;
