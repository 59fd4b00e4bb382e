//! The process that attends a running machine: it forwards ports, follows the machine's address and
//! keeps its console. It ends with the machine.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use skiff_vm::{PidFile, PortForward, VmError};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{Error, Mac, console::Follower, forward::Bound, lease};

/// What to do, as the driver leaves it in the machine's folder.
pub(crate) const ORDERS: &str = "attend.json";

/// What became of it.
pub(crate) const STATUS: &str = "attend-status.json";

/// The process that attends.
pub(crate) const PID: &str = "attend-pid";

/// The machine's address as it was last seen.
pub(crate) const ADDRESS: &str = "address";

/// How often console, leases and process are looked at.
const PAUSE: Duration = Duration::from_millis(300);

/// How long the machine may take to appear.
const GRACE: Duration = Duration::from_secs(60);

/// A console that is longer begins anew.
const LONGEST_CONSOLE: u64 = 16 << 20;

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) ports: Vec<PortForward>,
    pub(crate) leases: PathBuf,
    pub(crate) mac: Option<Mac>,
    pub(crate) name: String,
    /// Where hyperkit keeps the console.
    pub(crate) ring: PathBuf,
    /// Where all of the console is kept.
    pub(crate) console: PathBuf,
    /// Where to write what happens.
    pub(crate) log: PathBuf,
    /// The file that names the machine's process.
    pub(crate) machine: PathBuf,
}

/// What became of taking the ports.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ready,
    Taken { address: SocketAddr, why: String },
}

impl Orders {
    /// The machine's address as it is now: by the leases, or else by what the guest told on its
    /// console.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        let text = std::fs::read(&self.leases).unwrap_or_default();
        let leases = lease::parse(&String::from_utf8_lossy(&text));
        lease::find(&leases, self.mac, &self.name).map(|lease| lease.address).or_else(|| self.announced())
    }

    fn announced(&self) -> Option<Ipv4Addr> {
        let console = std::fs::read(&self.ring).ok()?;
        let console = String::from_utf8_lossy(&console);
        let (_, rest) = console.rsplit_once("skiff: address ")?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

/// Attends the machine whose folder this is, until it ends or SIGTERM asks to stop.
///
/// # Errors
/// When the folder holds no orders, or what became of them cannot be written down.
pub async fn attend(folder: &Path) -> Result<(), Error> {
    let mut asked = signal(SignalKind::terminate()).map_err(VmError::file("wait for signals in", folder))?;
    let orders: Orders = read_json(&folder.join(ORDERS))?;
    let status = folder.join(STATUS);
    let bound = match Bound::bind(&orders.ports).await {
        Ok(bound) => bound,
        Err((address, error)) => return write_json(&status, &Status::Taken { address, why: error.to_string() }),
    };
    write_json(&status, &Status::Ready)?;
    let address = Arc::new(Mutex::new(None));
    let target = Arc::clone(&address);
    let forwarding = bound.serve(Arc::new(move || *target.lock().unwrap_or_else(PoisonError::into_inner)));
    tokio::select! {
        () = forwarding => {}
        () = watch(folder, &orders, &address, &mut asked) => {}
    }
    Ok(())
}

/// Keeps console and address up to date until the machine is gone or SIGTERM comes. Who ended the
/// machine asks at once, and its last words on the console are read all the same.
async fn watch(folder: &Path, orders: &Orders, address: &Mutex<Option<Ipv4Addr>>, asked: &mut Signal) {
    let (machine, began) = (PidFile::at(&orders.machine), Instant::now());
    let (mut follower, mut seen, mut dismissed) = (Follower::default(), false, false);
    loop {
        let alive = machine.alive().is_some();
        follow(&mut follower, orders);
        // A file that is being written may miss the entry for a moment.
        if let Some(now) = orders.address() {
            let before = address.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
            note(folder, orders, before, now);
        }
        if dismissed || !alive && (seen || began.elapsed() > GRACE) {
            return;
        }
        seen |= alive;
        tokio::select! {
            _ = asked.recv() => dismissed = true,
            () = sleep(PAUSE) => {}
        }
    }
}

/// Writes down where the machine is, and tells when it moved.
fn note(folder: &Path, orders: &Orders, before: Option<Ipv4Addr>, now: Ipv4Addr) {
    let file = folder.join(ADDRESS);
    let known = before.map(|address| address.to_string()).or_else(|| std::fs::read_to_string(&file).ok());
    let known = known.as_deref().map(str::trim).filter(|known| !known.is_empty());
    if known != Some(&now.to_string()) {
        let line = match known {
            Some(known) => format!("skiff: the lease of {} moved from {known} to {now}\n", orders.name),
            None => format!("skiff: {} has the lease of {now}\n", orders.name),
        };
        let _ = append(&orders.log, line.as_bytes());
    }
    if before != Some(now) {
        let _ = std::fs::write(&file, format!("{now}\n"));
    }
}

/// Appends what is new on the console. Nobody suffers if that fails, say for want of space.
fn follow(follower: &mut Follower, orders: &Orders) {
    let Ok(ring) = std::fs::read(&orders.ring) else { return };
    let news: Vec<u8> = follower.news(&ring).into_iter().filter(|byte| *byte != 0).collect();
    if news.is_empty() {
        return;
    }
    if std::fs::metadata(&orders.console).is_ok_and(|data| data.len() > LONGEST_CONSOLE) {
        let _ = File::create(&orders.console);
    }
    let _ = append(&orders.console, &news);
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(bytes)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read(path).map_err(VmError::file("read", path))?;
    Ok(serde_json::from_slice(&text).map_err(|source| VmError::Record { path: path.to_owned(), source })?)
}

/// Writes a file that others wait for: it is there whole, or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let part = path.with_extension("part");
    let text = serde_json::to_vec_pretty(value).map_err(|source| VmError::Record { path: path.to_owned(), source })?;
    std::fs::write(&part, text).map_err(VmError::file("write", &part))?;
    Ok(std::fs::rename(&part, path).map_err(VmError::file("write", path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(folder: &Path) -> Orders {
        Orders {
            ports: Vec::new(),
            leases: folder.join("leases"),
            mac: None,
            name: "dev".to_owned(),
            ring: folder.join("ring"),
            console: folder.join("serial.log"),
            log: folder.join("vm.log"),
            machine: folder.join("pid"),
        }
    }

    fn lease(folder: &Path, address: &str) {
        let entry = format!("{{\nname=dev\nip_address={address}\nlease=0x1\n}}\n");
        std::fs::write(folder.join("leases"), entry).unwrap();
    }

    #[tokio::test]
    async fn it_follows_console_and_address_until_the_machine_ends() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let orders = orders(folder);
        write_json(&folder.join(ORDERS), &orders).unwrap();
        let mut machine = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        PidFile::at(&orders.machine).write(machine.id().unwrap()).unwrap();
        std::fs::write(&orders.ring, b"booting\0\0\0\0\0").unwrap();
        lease(folder, "192.168.64.3");
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let change = async {
            while read(folder.join(ADDRESS)).is_empty() || read(orders.console.clone()).is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
            std::fs::write(&orders.ring, b"ing and doneboot").unwrap();
            lease(folder, "192.168.64.9");
            while !read(folder.join(ADDRESS)).contains("64.9") {
                sleep(Duration::from_millis(20)).await;
            }
            machine.kill().await.unwrap();
        };
        let (attended, ()) =
            tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(attend(folder), change) })
                .await
                .unwrap();
        attended.unwrap();
        assert!(matches!(read_json(&folder.join(STATUS)).unwrap(), Status::Ready));
        let log = read(orders.log.clone());
        assert_eq!(
            log,
            "skiff: dev has the lease of 192.168.64.3\nskiff: the lease of dev moved from 192.168.64.3 to 192.168.64.9\n"
        );
        assert!(read(orders.console).starts_with("booting"));
    }

    #[tokio::test]
    async fn its_dismissal_loses_nothing_of_the_console() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let orders = orders(folder);
        PidFile::at(&orders.machine).write(std::process::id()).unwrap();
        std::fs::write(&orders.ring, b"going down\0\0\0\0\0\0\0\0").unwrap();
        let (address, mut asked) = (Mutex::default(), signal(SignalKind::user_defined1()).unwrap());
        let dismissal = async {
            while std::fs::read(&orders.console).is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            std::fs::write(&orders.ring, b"going down: off\0\0\0").unwrap();
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
        };
        let watched = async { tokio::join!(watch(folder, &orders, &address, &mut asked), dismissal) };
        let _ = tokio::time::timeout(Duration::from_secs(30), watched).await.unwrap();
        assert_eq!(std::fs::read_to_string(&orders.console).unwrap(), "going down: off");
    }

    #[tokio::test]
    async fn a_port_in_use_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let published = skiff_driver::Published {
            purpose: skiff_driver::Purpose::User,
            host_ip: taken.ip(),
            host_port: taken.port(),
            node_port: 80,
            protocol: skiff_config::Protocol::Tcp,
        };
        let orders = Orders { ports: vec![PortForward::from(&published)], ..orders(folder.path()) };
        write_json(&folder.path().join(ORDERS), &orders).unwrap();
        attend(folder.path()).await.unwrap();
        let status = read_json(&folder.path().join(STATUS)).unwrap();
        assert!(matches!(&status, Status::Taken { address, .. } if *address == taken), "{status:?}");
    }
}
