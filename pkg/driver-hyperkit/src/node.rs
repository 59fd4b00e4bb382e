//! What is done with a node.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{MachineState, NodeSpec};
use skiff_store::Process;
use skiff_vm::{Egress, Machine, PidFile, VmError, end, signal, wait_gone};
use uuid::Uuid;

use crate::{Error, HyperkitDriver, attend, process};

/// Names under which the record keeps what only this driver understands.
pub(crate) const UUID: &str = "uuid";
pub(crate) const MAC: &str = "mac";

/// A file that is there while the machine is frozen.
pub(crate) const FROZEN: &str = "frozen";

/// The pid file that hyperkit writes itself.
pub(crate) const OWN_PID: &str = "hyperkit.pid";

/// How long an attendant may take to end.
const ATTENDANT: Duration = Duration::from_secs(5);

/// Time between two presses of the power button.
const BUTTON: Duration = Duration::from_secs(3);

/// How long a machine may take to end once it is killed.
const KILLED: Duration = Duration::from_secs(10);

impl HyperkitDriver {
    /// Makes a node. One that is made again on its data keeps its identity, so that macOS gives it
    /// the address it had.
    pub(crate) async fn make(&self, spec: &NodeSpec) -> Result<(), Error> {
        let _lock = self.machines.lock(&spec.name).await?;
        let old = self.machines.find(&spec.cluster, &spec.name)?.map(|machine| machine.record.driver);
        self.machines
            .create(spec, Egress::Dhcp, |record| {
                record.extra_disks = self.options.extra_disks;
                record.driver = old.unwrap_or_default();
                record.driver.entry(UUID.to_owned()).or_insert_with(|| Uuid::new_v4().to_string());
            })
            .await?;
        Ok(())
    }

    /// What a machine does.
    pub(crate) async fn state(&self, machine: &Machine) -> Result<MachineState, Error> {
        match process_of(machine) {
            Some(_) if machine.file(FROZEN).exists() => Ok(MachineState::Paused),
            Some(_) => Ok(MachineState::Running),
            None => Ok(self.machines.resting_state(machine).await?),
        }
    }

    /// Freezes a running machine: the whole process stands still, and so does the guest's clock.
    pub(crate) async fn freeze(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        let machine = self.machines.get(cluster, node)?;
        let Some(process) = process_of(&machine) else {
            let state = self.machines.resting_state(&machine).await?;
            return Err(VmError::NodeNotRunning { node: node.clone(), state }.into());
        };
        let marker = machine.file(FROZEN);
        fs::write(&marker, "").map_err(VmError::file("write", &marker))?;
        signal(&process, Signal::STOP);
        Ok(())
    }

    /// Lets a frozen machine go on.
    pub(crate) fn thaw(machine: &Machine, process: &Process) -> Result<(), Error> {
        signal(process, Signal::CONT);
        remove_file(machine, FROZEN)
    }

    /// Stops a machine: its power button first, then the hard way.
    pub(crate) async fn halt(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        match self.machines.find(cluster, node)? {
            Some(machine) => self.end(&machine, node, self.options.stop_patience).await,
            None => Ok(()),
        }
    }

    /// Removes a machine, and with `keep_data` false all it stored. What nobody keeps need not be
    /// shut down in good order.
    pub(crate) async fn remove(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), Error> {
        let lock = self.machines.lock(node).await?;
        let Some(machine) = self.machines.find(cluster, node)? else { return Ok(self.machines.unlock(node, lock)?) };
        let patience = if keep_data { self.options.stop_patience } else { Duration::ZERO };
        self.end(&machine, node, patience).await?;
        self.machines.remove(&machine, keep_data)?;
        Ok(self.machines.unlock(node, lock)?)
    }

    /// Ends a machine and what attends it.
    pub(crate) async fn end(&self, machine: &Machine, node: &NodeName, patience: Duration) -> Result<(), Error> {
        if let Some(process) = process_of(machine) {
            // What stands still cannot be asked for anything.
            Self::thaw(machine, &process)?;
            let ended = if patience.is_zero() {
                signal(&process, Signal::KILL);
                wait_gone(&process, KILLED).await
            } else {
                power_off(&process, patience).await
            };
            if !ended {
                return Err(VmError::NotEnding { node: node.clone(), pid: process.pid }.into());
            }
        }
        self.dismiss(machine).await?;
        machine.pid_file().remove()?;
        for name in [FROZEN, OWN_PID, "tty"] {
            remove_file(machine, name)?;
        }
        Ok(())
    }

    /// Ends the attendant. It ends by itself soon, but its ports are to be free at once.
    pub(crate) async fn dismiss(&self, machine: &Machine) -> Result<(), Error> {
        let file = attendant(machine);
        if let Some(process) = file.alive() {
            end(&process, ATTENDANT).await;
        }
        file.remove()?;
        for name in [attend::STATUS, attend::ORDERS] {
            remove_file(machine, name)?;
        }
        Ok(())
    }
}

/// Presses the power button until the machine is off, then ends it the hard way. One press is not
/// enough: a guest that is still booting does not see it.
async fn power_off(process: &Process, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        signal(process, Signal::TERM);
        if wait_gone(process, BUTTON).await {
            return true;
        }
    }
    signal(process, Signal::KILL);
    wait_gone(process, KILLED).await
}

/// The file that names the attendant of a machine.
pub(crate) fn attendant(machine: &Machine) -> PidFile {
    PidFile::at(machine.file(attend::PID))
}

/// The machine's process, if it runs. One that a killed skiff could not write down any more is
/// known by what hyperkit wrote itself.
pub(crate) fn process_of(machine: &Machine) -> Option<Process> {
    let uuid = machine.record.driver.get(UUID)?;
    let known = machine.pid_file().alive().filter(|process| process::carries(process.pid, uuid));
    known.or_else(|| {
        let pid = fs::read_to_string(machine.file(OWN_PID)).ok()?.trim().parse().ok()?;
        let process = machine.pid_file().write(pid).ok().filter(|process| process::carries(process.pid, uuid));
        if process.is_none() {
            let _ = machine.pid_file().remove();
        }
        process
    })
}

/// Removes a file of the machine's; nothing happens if it is absent.
pub(crate) fn remove_file(machine: &Machine, name: &str) -> Result<(), Error> {
    let path = machine.file(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(VmError::file("remove", path)(error).into()),
        _ => Ok(()),
    }
}
