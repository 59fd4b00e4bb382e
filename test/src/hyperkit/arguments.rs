//! hyperkit's command line, read as strictly as hyperkit does.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) read_only: bool,
}

/// The machine that the command line describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) cpus: u32,
    pub(super) memory: u64,
    pub(super) acpi: bool,
    pub(super) uuid: Option<u128>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) terminal: Option<PathBuf>,
    pub(super) console: Option<PathBuf>,
    pub(super) disks: Vec<Disk>,
    pub(super) network: bool,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) command_line: String,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Version,
    Mac(u128),
    Run(Box<Machine>),
}

/// The most processors a machine may have.
const MOST_CPUS: u32 = 16;

/// Flags without a value that change nothing here.
const PLAIN: &str = "beuwxCHPW";

/// Reads hyperkit's command line.
pub(super) fn parse(words: Vec<String>, knows_mac: bool) -> Result<Asked, String> {
    let mut machine = Machine { cpus: 1, memory: 256 << 20, ..Machine::default() };
    let mut slots = BTreeSet::new();
    let (mut wants_mac, mut firmware) = (false, false);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let flag = word.strip_prefix('-').filter(|flag| flag.len() == 1).ok_or_else(usage)?;
        let mut value = || words.next().ok_or_else(usage);
        match flag {
            "A" => machine.acpi = true,
            "v" => return Ok(Asked::Version),
            "M" if knows_mac => wants_mac = true,
            "c" => machine.cpus = cpus(&value()?)?,
            "m" => machine.memory = memory(&value()?)?,
            "F" => machine.pid_file = Some(value()?.into()),
            "U" => machine.uuid = Some(uuid(&value()?)?),
            "s" => slot(&value()?, &mut slots, &mut machine)?,
            "l" => device(&value()?, &mut machine)?,
            "f" => {
                kexec(&value()?, &mut machine)?;
                firmware = true;
            }
            _ if PLAIN.contains(flag) => {}
            _ => return Err(usage()),
        }
    }
    if !firmware {
        return Err(usage());
    }
    match machine.uuid {
        Some(uuid) if wants_mac && machine.network => Ok(Asked::Mac(uuid)),
        _ if wants_mac => Err("virtio_net: no MAC address to print".to_owned()),
        _ => Ok(Asked::Run(Box::new(machine))),
    }
}

fn usage() -> String {
    "Usage: hyperkit [-behuwxMACHPWY] [-c vcpus] [-F <pidfile>] [-g <gdb port>] [-l <lpc>]".to_owned()
}

fn cpus(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("Invalid guest vCPUs ({text})")),
        Ok(cpus) if cpus > MOST_CPUS => Err(format!("{cpus} vCPUs requested but only {MOST_CPUS} available")),
        Ok(cpus) => Ok(cpus),
    }
}

/// A size; without a unit a small number means megabytes.
fn memory(text: &str) -> Result<u64, String> {
    let bad = || format!("invalid memsize '{text}'");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let shift = match &text[digits.len()..].to_ascii_lowercase()[..] {
        "" if number < 1 << 20 => 20,
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(bad()),
    };
    Ok(number << shift)
}

fn uuid(text: &str) -> Result<u128, String> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let digits: String = text.split('-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(uuid) if groups == [8, 4, 4, 4, 12] => Ok(uuid),
        _ => Err(format!("invalid uuid '{text}'")),
    }
}

/// A PCI slot: `2:0,virtio-blk,disk.raw`.
fn slot(text: &str, slots: &mut BTreeSet<(u8, u8)>, machine: &mut Machine) -> Result<(), String> {
    let invalid = || format!("Invalid PCI slot info field \"{text}\"");
    let (place, rest) = text.split_once(',').ok_or_else(invalid)?;
    let (number, function) = place.split_once(':').unwrap_or((place, "0"));
    let (number, function): (u8, u8) =
        (number.parse().map_err(|_| invalid())?, function.parse().map_err(|_| invalid())?);
    if number > 31 || function > 7 {
        return Err(invalid());
    }
    if !slots.insert((number, function)) {
        return Err(format!("pci slot {number}:{function} already occupied!"));
    }
    let (device, options) = rest.split_once(',').unwrap_or((rest, ""));
    match (device, options) {
        ("hostbridge" | "virtio-rnd", "") => Ok(()),
        ("lpc", "") if number == 31 => Ok(()),
        ("virtio-net", "") => {
            machine.network = true;
            Ok(())
        }
        ("virtio-blk" | "ahci-hd" | "ahci-cd", options) => {
            machine.disks.push(disk(options, device == "ahci-cd")?);
            Ok(())
        }
        _ => Err(format!("pci slot {number}:{function}: unknown device \"{device}\"")),
    }
}

fn disk(options: &str, is_cd: bool) -> Result<Disk, String> {
    let mut words = options.split(',');
    let path = PathBuf::from(words.next().unwrap_or_default());
    let mut disk = Disk { path, read_only: is_cd };
    for word in words {
        match word {
            "ro" => disk.read_only = true,
            "nocache" | "sync" | "direct" => {}
            _ if word.starts_with("sectorsize=") => {}
            _ => return Err(format!("Invalid device option \"{word}\"")),
        }
    }
    readable(&disk.path).map_err(|error| format!("Could not open backing file {}: {error}", disk.path.display()))?;
    Ok(disk)
}

/// A device of the ISA bus: `com1,autopty=tty,log=ring`.
fn device(text: &str, machine: &mut Machine) -> Result<(), String> {
    let invalid = || format!("invalid lpc device configuration '{text}'");
    let (name, backends) = text.split_once(',').ok_or_else(invalid)?;
    if !["com1", "com2"].contains(&name) {
        return Err(invalid());
    }
    for backend in backends.split(',') {
        match backend.split_once('=') {
            Some(("autopty", link)) => machine.terminal = Some(link.into()),
            Some(("log", ring)) => machine.console = Some(ring.into()),
            None if ["autopty", "null", "stdio", "asl"].contains(&backend) => {}
            _ => return Err(invalid()),
        }
    }
    Ok(())
}

/// `kexec,kernel,initrd,command line`; commas of the command line are its own.
fn kexec(text: &str, machine: &mut Machine) -> Result<(), String> {
    let mut parts = text.splitn(4, ',');
    if parts.next() != Some("kexec") {
        return Err("Invalid firmware argument".to_owned());
    }
    let mut file = || PathBuf::from(parts.next().unwrap_or_default());
    (machine.kernel, machine.initrd) = (file(), file());
    machine.command_line = parts.next().unwrap_or_default().to_owned();
    for path in [&machine.kernel, &machine.initrd] {
        readable(path).map_err(|error| format!("kexec: failed to load {}: {error}", path.display()))?;
    }
    Ok(())
}

fn readable(path: &Path) -> Result<(), std::io::Error> {
    std::fs::File::open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(line.split(' ').map(str::to_owned).collect(), true)
    }

    #[test]
    fn a_whole_machine_is_read() {
        let line = "-A -u -F /p -c 2 -m 64M -s 0:0,hostbridge -s 31,lpc -s 1:0,virtio-net \
                    -U 5813dd85-86d0-4f67-b485-05de3254d610 -s 2:0,virtio-blk,/dev/null,ro -s 3,virtio-rnd \
                    -l com1,autopty=/t,log=/r -f kexec,/dev/null,/dev/null,a=b,c";
        let Ok(Asked::Run(machine)) = read(line) else { panic!("{:?}", read(line)) };
        assert_eq!((machine.cpus, machine.memory, machine.acpi, machine.network), (2, 64 << 20, true, true));
        assert_eq!(machine.disks, [Disk { path: "/dev/null".into(), read_only: true }]);
        assert_eq!((machine.terminal, machine.console), (Some("/t".into()), Some("/r".into())));
        assert_eq!(machine.command_line, "a=b,c");
    }

    #[test]
    fn what_hyperkit_refuses_is_refused() {
        let end = "-f kexec,/dev/null,/dev/null,x";
        for words in [
            "-z",
            "--help",
            "-c 0",
            "-c 17",
            "-m 5X",
            "-U 1-2",
            "-s 1,virtio-scsi",
            "-s 1:0,virtio-net -s 1,lpc",
            "-s 30,lpc",
            "-s 2,virtio-blk,/dev/null/absent",
            "-s 2,virtio-blk,/dev/null,readonly",
            "-l com9,null",
            "-f bootrom,/dev/null",
        ] {
            assert!(read(&format!("{words} {end}")).is_err(), "{words}");
        }
        assert!(read("-A").is_err(), "no firmware");
    }

    #[test]
    fn only_some_builds_print_the_hardware_address() {
        let words: Vec<String> =
            "-M -s 1:0,virtio-net -U 5813dd85-86d0-4f67-b485-05de3254d610 -f kexec,/dev/null,/dev/null,"
                .split(' ')
                .map(str::to_owned)
                .collect();
        assert!(matches!(parse(words.clone(), true), Ok(Asked::Mac(_))));
        assert!(parse(words, false).is_err());
    }
}
