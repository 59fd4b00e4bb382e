//! One machine: its folder, its files, its process.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use skiff_driver::{Endpoints, MachineState, NodeStatus, Purpose};

use crate::{DiskFormat, PidFile, VmError, disk::Health, files, record::MachineRecord};

/// Name of the record's file.
const RECORD: &str = "machine.json";

/// A node that a driver knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    folder: PathBuf,
    format: DiskFormat,
    /// What is kept about it.
    pub record: MachineRecord,
}

impl Machine {
    pub(crate) fn new(folder: PathBuf, format: DiskFormat, record: MachineRecord) -> Self {
        Self { folder, format, record }
    }

    /// The machine of a folder, if there is one.
    pub(crate) fn read(folder: PathBuf, format: DiskFormat) -> Result<Option<Self>, VmError> {
        let record = files::read_json(&folder.join(RECORD))?;
        Ok(record.map(|record| Self { folder, format, record }))
    }

    /// Keeps the record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), VmError> {
        files::write_json(&self.folder.join(RECORD), &self.record)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The disk that goes with the machine.
    #[must_use]
    pub fn root_disk(&self) -> PathBuf {
        self.folder.join(format!("root.{}", self.format.as_str()))
    }

    /// The disk that is kept: `/var`.
    #[must_use]
    pub fn data_disk(&self) -> PathBuf {
        self.folder.join(format!("data.{}", self.format.as_str()))
    }

    /// The disks the user asked for beside them.
    #[must_use]
    pub fn extra_disks(&self) -> Vec<PathBuf> {
        (0..self.record.extra_disks).map(|n| self.folder.join(format!("extra-{n}.{}", self.format.as_str()))).collect()
    }

    /// All disks that it writes to.
    #[must_use]
    pub fn disks(&self) -> Vec<PathBuf> {
        [self.root_disk(), self.data_disk()].into_iter().chain(self.extra_disks()).collect()
    }

    /// Bytes that its disks take on the host.
    #[must_use]
    pub fn disk_usage(&self) -> u64 {
        let taken = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| data.blocks() * 512);
        self.disks().iter().map(taken).sum()
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> PathBuf {
        self.folder.join("seed.img")
    }

    /// What the machine writes to its console.
    #[must_use]
    pub fn serial_log(&self) -> PathBuf {
        self.folder.join("serial.log")
    }

    /// What the program that runs the machine says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("vm.log")
    }

    /// The process that runs the machine.
    #[must_use]
    pub fn pid_file(&self) -> PidFile {
        PidFile::at(self.folder.join("pid"))
    }

    /// Another file of the driver's in the machine's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What the machine does, where it has no process: with one, only the driver can tell more than
    /// that it runs.
    #[must_use]
    pub fn resting_state(&self) -> MachineState {
        match (&self.record.image, self.record.started) {
            (None, _) => MachineState::Missing,
            (Some(_), false) => MachineState::Created,
            (Some(_), true) => MachineState::Stopped,
        }
    }

    /// What is told about it in a list.
    ///
    /// # Errors
    /// When somebody wrote nonsense into its record.
    pub fn status(&self, state: MachineState) -> Result<NodeStatus, VmError> {
        Ok(NodeStatus {
            cluster: self.record.cluster()?,
            name: self.record.name()?,
            role: self.record.role(),
            state,
            address: Some(self.record.address),
            image: self.record.image.clone(),
            marks: self.record.marks.clone(),
            snapshots: self.snapshots()?.into_iter().map(|snapshot| snapshot.name.to_string()).collect(),
            trouble: None,
        })
    }

    /// Where it answers, by its forwarded ports.
    ///
    /// # Errors
    /// When it does not run, or forwards no port for ssh.
    pub fn endpoints(&self, state: MachineState) -> Result<Endpoints, VmError> {
        if state != MachineState::Running {
            return Err(VmError::NodeNotRunning { node: self.record.name()?, state });
        }
        let find = |purpose| self.record.ports.iter().find(|port| port.purpose() == purpose);
        let local = |port: &crate::PortForward| {
            let mut address = port.address();
            if address.ip().is_unspecified() {
                let loopback =
                    if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
                address.set_ip(loopback);
            }
            address
        };
        let unpublished = || match self.record.name() {
            Ok(node) => VmError::PortUnpublished { node, purpose: Purpose::Ssh },
            Err(error) => error,
        };
        let ssh = find(Purpose::Ssh).map(local).ok_or_else(unpublished)?;
        Ok(Endpoints { ssh, apiserver: find(Purpose::ApiServer).map(local) })
    }

    /// Turns what a check of the root disk found into an error.
    pub(crate) fn root_health(&self, health: Health) -> Result<(), VmError> {
        match health {
            Health::Good => Ok(()),
            Health::Damaged(detail) => Err(VmError::RootDamaged { node: self.record.name()?, detail }),
        }
    }

    /// The same for the data disk.
    pub(crate) fn data_health(&self, health: Health) -> Result<(), VmError> {
        match health {
            Health::Good => Ok(()),
            Health::Damaged(detail) => Err(VmError::DataDamaged { node: self.record.name()?, detail }),
        }
    }
}
