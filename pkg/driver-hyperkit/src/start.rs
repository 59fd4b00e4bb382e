//! Starting a machine.

use std::{
    fs::{self, OpenOptions},
    process::Stdio,
    time::{Duration, Instant},
};

use skiff_config::{ClusterName, NodeName};
use skiff_vm::{Image, Machine, VmError, last_complaint};
use tokio::{
    process::{Child, Command},
    time::sleep,
};
use uuid::Uuid;

use crate::{
    Error, HyperkitDriver, Mac,
    arguments::{Disk, Machine as Wanted},
    attend::{self, Orders, Status},
    host,
    node::{FROZEN, MAC, OWN_PID, UUID, attendant, process_of, remove_file},
    program::Program,
};

/// How often is looked at what is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the attendant may take to say whether it has the ports.
const ATTENDANT: Duration = Duration::from_secs(15);

/// Memory of a machine when nobody says.
const MEMORY: u64 = 4 << 30;

impl HyperkitDriver {
    /// Starts a machine, or thaws it.
    pub(crate) async fn run(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let mut machine = self.machines.get(cluster, node)?;
        if let Some(process) = process_of(&machine) {
            return Self::thaw(&machine, &process);
        }
        // An attendant that has not noticed yet that its machine ended still holds the ports.
        self.dismiss(&machine).await?;
        let image = self.machines.ready(&machine).await?;
        let program = self.program().await?;
        let wanted = self.wanted(&machine, &image)?;
        let mac = self.mac(&mut machine, &program, &wanted).await?;
        for name in [FROZEN, OWN_PID, "tty", "console-ring"] {
            remove_file(&machine, name)?;
        }
        let orders = self.orders(&machine, node, mac);
        let started = async {
            self.call_attendant(&machine, node, &orders).await?;
            let mut child = spawn(&program, &wanted, &machine)?;
            if let Some(pid) = child.id() {
                machine.pid_file().write(pid)?;
            }
            self.wait_for_lease(&machine, node, &orders, &mut child).await
        };
        if let Err(error) = started.await {
            self.end(&machine, node, Duration::ZERO).await?;
            return Err(error);
        }
        machine.record.started = true;
        Ok(machine.save()?)
    }

    /// The machine as hyperkit shall run it.
    fn wanted(&self, machine: &Machine, image: &Image) -> Result<Wanted, Error> {
        let disk = |path, read_only| Disk { path, read_only };
        let own = [disk(machine.root_disk(), false), disk(machine.data_disk(), false), disk(machine.seed(), true)];
        let extra = machine.extra_disks().into_iter().map(|path| disk(path, false));
        let name = machine.record.name()?;
        Ok(Wanted {
            cpus: machine.record.processors(host::processors()),
            memory: machine.record.memory.unwrap_or(MEMORY) >> 20,
            uuid: identity(machine)?,
            pid_file: machine.file(OWN_PID),
            terminal: machine.file("tty"),
            console: machine.file("console-ring"),
            disks: own.into_iter().chain(extra).collect(),
            kernel: image.kernel(),
            initrd: image.initrd(),
            command_line: format!("earlyprintk=serial console=ttyS0 panic=1 systemd.hostname={name}"),
        })
    }

    /// The machine's hardware address. It follows from its identity, so it is asked for once.
    async fn mac(&self, machine: &mut Machine, program: &Program, wanted: &Wanted) -> Result<Option<Mac>, Error> {
        if let Some(known) = machine.record.driver.get(MAC) {
            return Ok(known.parse().ok());
        }
        let mac = program.mac(wanted).await?;
        if let Some(mac) = mac {
            machine.record.driver.insert(MAC.to_owned(), mac.to_string());
            machine.save()?;
        }
        Ok(mac)
    }

    fn orders(&self, machine: &Machine, node: &NodeName, mac: Option<Mac>) -> Orders {
        Orders {
            ports: machine.record.ports.clone(),
            leases: self.options.leases.clone(),
            mac,
            name: node.to_string(),
            ring: machine.file("console-ring"),
            console: machine.serial_log(),
            log: machine.log(),
            machine: machine.pid_file().path().to_owned(),
        }
    }

    /// Starts the process that attends the machine, and waits until it has the ports.
    async fn call_attendant(&self, machine: &Machine, node: &NodeName, orders: &Orders) -> Result<(), Error> {
        let failed = |why: String| Error::Attendant { node: node.clone(), why };
        attend::write_json(&machine.file(attend::ORDERS), orders)?;
        let (program, words) =
            self.options.attendant.split_first().ok_or_else(|| failed("nobody is there to do it".to_owned()))?;
        let mut command = Command::new(program);
        command.args(words).arg(machine.folder());
        let mut child = detached(command, machine)?.spawn().map_err(|error| failed(error.to_string()))?;
        if let Some(pid) = child.id() {
            // It may have ended already, and then has said why.
            let _ = attendant(machine).write(pid);
        }
        let (status, end) = (machine.file(attend::STATUS), Instant::now() + ATTENDANT);
        loop {
            let ended = child.try_wait().map_err(|error| failed(error.to_string()))?;
            if status.exists() {
                return match attend::read_json(&status)? {
                    Status::Ready => Ok(()),
                    Status::Taken { address, .. } => Err(VmError::PortTaken { node: node.clone(), address }.into()),
                };
            }
            if let Some(ended) = ended {
                return Err(failed(format!("{} ended: {ended}", program.display())));
            }
            if Instant::now() > end {
                return Err(failed(format!("no word within {} s", ATTENDANT.as_secs())));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until macOS gave the machine an address. An old lease counts: the attendant follows if
    /// the machine gets another one this time.
    async fn wait_for_lease(
        &self,
        machine: &Machine,
        node: &NodeName,
        orders: &Orders,
        child: &mut Child,
    ) -> Result<(), Error> {
        let end = Instant::now() + self.options.lease_patience;
        loop {
            if let Some(status) = child.try_wait().map_err(VmError::file("find the process of", machine.folder()))? {
                let printed = last_words(machine);
                return Err(Error::Ended { node: node.clone(), status: status.to_string(), printed });
            }
            if orders.address().is_some() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::NoLease { node: node.clone(), seconds: self.options.lease_patience.as_secs() });
            }
            sleep(PAUSE).await;
        }
    }
}

/// The identity of a machine.
fn identity(machine: &Machine) -> Result<Uuid, Error> {
    let text = machine.record.driver.get(UUID).map(String::as_str).unwrap_or_default();
    text.parse().map_err(|_| {
        let source = serde::de::Error::custom(format!("`{text}` is no uuid"));
        VmError::Record { path: machine.file("machine.json"), source }.into()
    })
}

/// A program that goes on when skiff ends, is no concern of the terminal's, and writes to the
/// machine's log.
fn detached(mut command: Command, machine: &Machine) -> Result<Command, Error> {
    let path = machine.log();
    let log = OpenOptions::new().append(true).create(true).open(&path).map_err(VmError::file("write", &path))?;
    let copy = log.try_clone().map_err(VmError::file("write", &path))?;
    command.stdin(Stdio::null()).stdout(log).stderr(copy).process_group(0).kill_on_drop(false);
    Ok(command)
}

fn spawn(program: &Program, wanted: &Wanted, machine: &Machine) -> Result<Child, Error> {
    let mut command = Command::new(&program.path);
    command.args(wanted.arguments()?);
    detached(command, machine)?.spawn().map_err(|source| program.unusable(source))
}

/// Why a machine ended, by what the guest or hyperkit said last.
fn last_words(machine: &Machine) -> String {
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let console = read(machine.file("console-ring"));
    if let Some(complaint) = last_complaint(&console) {
        return complaint;
    }
    let log = read(machine.log());
    log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing").to_owned()
}
