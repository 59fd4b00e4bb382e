//! `xtask bench-qemu`: a cluster in a virtual machine, with nothing to compare it with. It takes minutes where
//! machines are emulated.

use std::{
    fs,
    io::Read,
    net::TcpStream,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    figures::{Figure, Figures, Unit},
    janitor::Janitor,
    machine, processes,
    skiff::Skiff,
};

/// How often a machine that starts is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long an sshd may take to say what it is.
const BANNER: Duration = Duration::from_secs(5);
/// A new cluster is busy with itself for a while before it can be called idle.
const SETTLE: Duration = Duration::from_secs(30);

const START: &str = "start --driver qemu --memory 3g --wait-timeout 20m";

/// What was seen of a machine while `skiff start` ran.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Bytes of its disks before it ran.
    disks: Option<u64>,
    /// When QEMU was there.
    on: Option<Instant>,
    /// When its sshd answered.
    ssh: Option<Instant>,
}

/// Measures and gives the table.
pub(crate) fn run() -> Result<String, String> {
    // The janitor removes it: a destructor would not run on Ctrl-C.
    let folder = tempfile::Builder::new().prefix("skiff-bench-").tempdir().map_err(|error| error.to_string())?.keep();
    let _janitor = Janitor::employ(&folder, &Skiff::cluster())?;
    let skiff = Skiff::copy_to(&folder)?;
    let node = folder.join("home/vm/qemu/nodes").join(Skiff::cluster());
    let machine = machine::describe();
    let mut figures = Figures::default();

    eprintln!("{machine}");
    eprintln!("warming up: the machines' disk is made now");
    skiff.show(START)?;
    skiff.run("delete")?;
    let accelerator = accelerator(&folder.join("home/vm/qemu/accelerator.json"));
    eprintln!("measuring, machines run on {accelerator}");
    life(&skiff, &node, &mut figures)?;
    Ok(format!("{machine}, {accelerator}\n\n{}", figures.table()))
}

/// From a cluster's start to its end.
fn life(skiff: &Skiff, node: &Path, figures: &mut Figures) -> Result<(), String> {
    let (started, seen) = watched(skiff, node, START)?;
    figures.add(Figure::new("start to usable", Unit::Seconds, 150.0), started);
    if let Some(bytes) = seen.disks {
        figures.add(Figure::new("node's disks when they are made", Unit::Megabytes, 50.0), megabytes(bytes));
    }
    if let (Some(on), Some(ssh)) = (seen.on, seen.ssh) {
        let seconds = ssh.duration_since(on).as_secs_f64();
        figures.add(Figure::new("power-on to ssh", Unit::Seconds, 20.0), seconds);
    }
    thread::sleep(SETTLE);
    let memory = pid(node).and_then(processes::resident_memory).ok_or("QEMU is not there any more")?;
    figures.add(Figure::new("memory of QEMU, idle node", Unit::Megabytes, None), megabytes(memory));
    for (name, verb, at_most) in [
        ("snapshot save", "snapshot save bench", None),
        ("snapshot restore to an answering API", "snapshot restore bench", Some(15.0)),
        ("stop", "stop", None),
        ("restart to usable", START, None),
        ("delete", "delete", None),
    ] {
        figures.add(Figure::new(name, Unit::Seconds, at_most), skiff.run(verb)?.seconds);
    }
    Ok(())
}

/// Runs a start and looks at the machine meanwhile.
fn watched(skiff: &Skiff, node: &Path, verb: &str) -> Result<(f64, Seen), String> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = Seen::default();
            while !ended.load(Ordering::Relaxed) && seen.ssh.is_none() {
                look(node, &mut seen);
                thread::sleep(LOOK);
            }
            seen
        });
        let finished = skiff.run(verb);
        ended.store(true, Ordering::Relaxed);
        // The watcher does nothing that could panic.
        Ok((finished?.seconds, watcher.join().unwrap_or_default()))
    })
}

fn look(node: &Path, seen: &mut Seen) {
    // It is written when the disks are there.
    let Ok(record) = fs::read(node.join("machine.json")) else { return };
    seen.disks = seen.disks.or_else(|| Some(disks(node)));
    if !node.join("qemu.pid").exists() {
        return;
    }
    seen.on = seen.on.or_else(|| Some(Instant::now()));
    if ssh_port(&record).is_some_and(answers) {
        seen.ssh = Some(Instant::now());
    }
}

/// Bytes that the disks take on the host.
fn disks(node: &Path) -> u64 {
    let entries = fs::read_dir(node).into_iter().flatten().flatten();
    let layers = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "qcow2"));
    layers.filter_map(|path: PathBuf| fs::metadata(path).ok()).map(|data| data.blocks() * 512).sum()
}

fn ssh_port(record: &[u8]) -> Option<u16> {
    let record: serde_json::Value = serde_json::from_slice(record).ok()?;
    let port = record["ports"].as_array()?.iter().find(|port| port["purpose"] == "ssh")?;
    port["host_port"].as_u64()?.try_into().ok()
}

/// True if an sshd says what it is. QEMU takes connections before there is one.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut banner = [0; 4];
    stream.set_read_timeout(Some(BANNER)).is_ok() && stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-"
}

fn pid(node: &Path) -> Option<u32> {
    fs::read_to_string(node.join("qemu.pid")).ok()?.trim().parse().ok()
}

fn accelerator(file: &Path) -> String {
    let verdict = fs::read(file).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    verdict.and_then(|verdict| Some(verdict["accelerator"].as_str()?.to_uppercase())).unwrap_or("TCG".to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_ssh_is_found_in_a_machines_record() {
        let record = br#"{"ports":[{"purpose":"apiserver","host_port":1},{"purpose":"ssh","host_port":20005}]}"#;
        assert_eq!(ssh_port(record), Some(20005));
        assert_eq!(ssh_port(b"{}"), None);
    }

    #[test]
    fn only_layers_count_as_disks() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("root.qcow2"), vec![1; 1 << 16]).unwrap();
        fs::write(dir.path().join("seed.img"), vec![1; 1 << 20]).unwrap();
        let bytes = disks(dir.path());
        assert!((1 << 16..1 << 20).contains(&bytes), "{bytes}");
    }
}
