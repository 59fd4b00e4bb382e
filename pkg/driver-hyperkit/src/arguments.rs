//! What hyperkit is called with.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::Error;

/// A disk of a machine: a raw image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The image.
    pub(crate) path: PathBuf,
    /// The guest may not write to it.
    pub(crate) read_only: bool,
}

/// A machine as hyperkit shall run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Processors.
    pub(crate) cpus: u32,
    /// Memory in MiB.
    pub(crate) memory: u64,
    /// Its identity, from which vmnet makes its hardware address.
    pub(crate) uuid: Uuid,
    /// Where hyperkit writes its process id. It refuses to start if the file exists.
    pub(crate) pid_file: PathBuf,
    /// Where hyperkit makes a link to the console's terminal.
    pub(crate) terminal: PathBuf,
    /// Where hyperkit keeps the last 64 KiB of the console.
    pub(crate) console: PathBuf,
    /// `/dev/vda` and those after it.
    pub(crate) disks: Vec<Disk>,
    /// The Linux kernel.
    pub(crate) kernel: PathBuf,
    /// Its initial RAM disk.
    pub(crate) initrd: PathBuf,
    /// The kernel's command line.
    pub(crate) command_line: String,
}

/// Slot of the network card; disks follow it.
const NETWORK_SLOT: usize = 1;

impl Machine {
    /// The arguments of a running machine.
    ///
    /// The kernel is loaded by hyperkit itself (`kexec`), so no firmware is needed. ACPI tables
    /// (`-A`) are what the power button hangs on, by which the machine is asked to stop.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, Error> {
        let mut arguments = vec!["-A".to_owned(), "-u".to_owned()];
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("-F", self.pid_file.display().to_string());
        add("-c", self.cpus.to_string());
        add("-m", format!("{}M", self.memory));
        add("-s", "0:0,hostbridge".to_owned());
        add("-s", "31,lpc".to_owned());
        add("-s", format!("{NETWORK_SLOT}:0,virtio-net"));
        add("-U", self.uuid.to_string());
        for (number, disk) in self.disks.iter().enumerate() {
            let mode = if disk.read_only { ",ro" } else { "" };
            add("-s", format!("{}:0,virtio-blk,{}{mode}", NETWORK_SLOT + 1 + number, plain(&disk.path)?));
        }
        add("-s", format!("{},virtio-rnd", NETWORK_SLOT + 1 + self.disks.len()));
        add("-l", format!("com1,autopty={},log={}", plain(&self.terminal)?, plain(&self.console)?));
        add("-f", self.firmware()?);
        Ok(arguments)
    }

    /// The arguments that make hyperkit tell the machine's hardware address and end. Not every
    /// build of hyperkit knows how.
    pub(crate) fn asking_for_mac(&self) -> Result<Vec<String>, Error> {
        let words = ["-M", "-A", "-s", "0:0,hostbridge", "-s", "31,lpc", "-s", "1:0,virtio-net", "-U"];
        let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
        arguments.extend([self.uuid.to_string(), "-f".to_owned(), self.firmware()?]);
        Ok(arguments)
    }

    fn firmware(&self) -> Result<String, Error> {
        Ok(format!("kexec,{},{},{}", plain(&self.kernel)?, plain(&self.initrd)?, self.command_line))
    }
}

/// A path as part of an argument: hyperkit separates parts by commas and knows no way to quote one.
fn plain(path: &Path) -> Result<&str, Error> {
    path.to_str()
        .filter(|text| !text.contains([',', '\n']))
        .ok_or_else(|| Error::PathUnusable { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(folder: &str) -> Machine {
        let file = |name: &str| PathBuf::from(folder).join(name);
        let disk = |name: &str, read_only| Disk { path: file(name), read_only };
        Machine {
            cpus: 2,
            memory: 4096,
            uuid: Uuid::from_u128(0x5813_dd85_86d0_4f67_b485_05de_3254_d610),
            pid_file: file("hyperkit.pid"),
            terminal: file("tty"),
            console: file("console-ring"),
            disks: vec![disk("root.raw", false), disk("seed.img", true)],
            kernel: file("vmlinuz"),
            initrd: file("initrd"),
            command_line: "console=ttyS0 panic=1,2".to_owned(),
        }
    }

    #[test]
    fn a_machine_is_one_command_line() {
        let arguments = machine("/m").arguments().unwrap().join(" ");
        let expected = "-A -u -F /m/hyperkit.pid -c 2 -m 4096M -s 0:0,hostbridge -s 31,lpc -s 1:0,virtio-net \
                        -U 5813dd85-86d0-4f67-b485-05de3254d610 -s 2:0,virtio-blk,/m/root.raw \
                        -s 3:0,virtio-blk,/m/seed.img,ro -s 4,virtio-rnd \
                        -l com1,autopty=/m/tty,log=/m/console-ring \
                        -f kexec,/m/vmlinuz,/m/initrd,console=ttyS0 panic=1,2";
        assert_eq!(arguments, expected);
    }

    #[test]
    fn the_hardware_address_is_asked_of_the_same_uuid() {
        let arguments = machine("/m").asking_for_mac().unwrap().join(" ");
        let expected = "-M -A -s 0:0,hostbridge -s 31,lpc -s 1:0,virtio-net \
                        -U 5813dd85-86d0-4f67-b485-05de3254d610 -f kexec,/m/vmlinuz,/m/initrd,console=ttyS0 panic=1,2";
        assert_eq!(arguments, expected);
    }

    #[test]
    fn a_path_that_hyperkit_would_cut_is_refused() {
        let error = machine("/a,b").arguments().unwrap_err();
        assert!(matches!(&error, Error::PathUnusable { path } if path.starts_with("/a,b")), "{error}");
    }
}
