//! The machines of one driver: making, finding and removing them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{MachineState, NodeSpec, SnapshotName};

use crate::{DiskTool, Egress, Image, Images, Lock, Machine, MachineRecord, Networks, Seed, VmError, files, taken};

/// Size of a data disk when nobody says, and of each extra disk.
const DISK_SIZE: u64 = 20 << 30;

/// All machines, images and networks of one driver.
#[derive(Debug, Clone)]
pub struct Machines {
    folder: PathBuf,
    disks: DiskTool,
    /// Node images as disks.
    pub images: Images,
    /// Subnets of clusters.
    pub networks: Networks,
}

impl Machines {
    /// The machines below a folder, which need not exist. `inner` is a subnet that every machine has
    /// inside, and no cluster may have.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>, disks: DiskTool, inner: Option<Ipv4Net>) -> Self {
        let folder = folder.into();
        let (images, networks) = (Images::at(folder.join("images")), Networks::at(folder.join("networks"), inner));
        Self { folder, disks, images, networks }
    }

    /// Where everything lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes sure that what makes disks is there.
    ///
    /// # Errors
    /// [`VmError::ToolMissing`], or when it does not run.
    pub async fn require_tool(&self) -> Result<(), VmError> {
        self.disks.require().await
    }

    /// Keeps other skiffs off a node while something is done to it.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub async fn lock(&self, node: &NodeName) -> Result<Lock, VmError> {
        Lock::take(&self.folder.join("locks").join(node.as_str())).await
    }

    /// Lets others have a node; nothing is left of the lock if nothing is left of the node.
    ///
    /// # Errors
    /// When the lock's file cannot be removed.
    pub fn unlock(&self, node: &NodeName, lock: Lock) -> Result<(), VmError> {
        if self.node_folder(node.as_str()).exists() {
            return Ok(());
        }
        lock.discard()
    }

    fn node_folder(&self, node: &str) -> PathBuf {
        self.folder.join("nodes").join(node)
    }

    /// The node of a name, whosever it is.
    fn named(&self, node: &str) -> Result<Option<Machine>, VmError> {
        Machine::read(self.node_folder(node), self.disks.format)
    }

    /// The cluster's node of that name, if there is one, be it only what it stored.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub fn find(&self, cluster: &ClusterName, node: &NodeName) -> Result<Option<Machine>, VmError> {
        Ok(self.named(node.as_str())?.filter(|machine| machine.record.belongs_to(cluster)))
    }

    /// The cluster's node of that name with its machine.
    ///
    /// # Errors
    /// [`VmError::NodeAbsent`], or when its record cannot be read.
    pub fn get(&self, cluster: &ClusterName, node: &NodeName) -> Result<Machine, VmError> {
        let machine = self.find(cluster, node)?.filter(|machine| machine.record.image.is_some());
        machine.ok_or_else(|| VmError::NodeAbsent { node: node.clone() })
    }

    /// All nodes of a cluster, or of all, ordered by name.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<Machine>, VmError> {
        let mut machines = Vec::new();
        for name in files::names(&self.folder.join("nodes"))? {
            let wanted = |machine: &Machine| cluster.is_none_or(|cluster| machine.record.belongs_to(cluster));
            machines.extend(self.named(&name)?.filter(wanted));
        }
        Ok(machines)
    }

    /// Makes a node: disks, seed, record. `adjust` may add what only the driver knows. The caller holds
    /// the node's lock.
    ///
    /// # Errors
    /// When a node of that name exists, the image is missing, or the disk is full.
    pub async fn create(
        &self,
        spec: &NodeSpec,
        egress: Egress,
        adjust: impl FnOnce(&mut MachineRecord) + Send,
    ) -> Result<Machine, VmError> {
        if let Some(old) = self.named(spec.name.as_str())? {
            if !old.record.belongs_to(&spec.cluster) {
                return Err(VmError::NameTaken { node: spec.name.clone(), owner: old.record.cluster()? });
            }
            if old.record.image.is_some() && (old.record.started || old.pid_file().alive().is_some()) {
                return Err(VmError::NodeExists { node: spec.name.clone() });
            }
        }
        let image = self.images.get(&spec.image)?;
        let mut record = MachineRecord::of(spec);
        adjust(&mut record);
        let machine = Machine::new(self.node_folder(spec.name.as_str()), self.disks.format, record);
        files::make_folder(machine.folder())?;
        let root = machine.root_disk();
        files::remove(&root)?;
        self.disks.make_root(&image.disk(), &root).await?;
        let size = spec.resources.disk.unwrap_or(DISK_SIZE);
        let data = machine.data_disk();
        if data.exists() {
            machine.data_health(self.disks.check(&data).await?)?;
            self.disks.grow(&data, size).await?;
        } else {
            self.disks.make_empty(&data, size).await?;
        }
        for path in machine.extra_disks().iter().filter(|path| !path.exists()) {
            self.disks.make_empty(path, DISK_SIZE).await?;
        }
        let seed = Seed::of(spec, egress).disk().map_err(VmError::file("write", machine.seed()))?;
        files::write(&machine.seed(), &seed)?;
        machine.save()?;
        Ok(machine)
    }

    /// What the disks of a machine that is off are like: [`MachineState::Broken`] for one whose root
    /// is lost, which can be made anew without loss.
    ///
    /// # Errors
    /// When they cannot be checked.
    pub async fn resting_state(&self, machine: &Machine) -> Result<MachineState, VmError> {
        let state = machine.resting_state();
        let Some(key) = machine.record.image.as_ref().filter(|_| state == MachineState::Stopped) else {
            return Ok(state);
        };
        let whole =
            self.images.get(key).is_ok() && machine.root_health(self.disks.check(&machine.root_disk()).await?).is_ok();
        Ok(if whole { state } else { MachineState::Broken })
    }

    /// Makes sure that a machine which is off can start: its image and disks are whole, its ports are
    /// free. Returns the image.
    ///
    /// # Errors
    /// What is not as it has to be.
    pub async fn ready(&self, machine: &Machine) -> Result<Image, VmError> {
        let absent = || machine.record.name().map_or_else(|error| error, |node| VmError::NodeAbsent { node });
        let image = self.images.get(machine.record.image.as_deref().ok_or_else(absent)?)?;
        machine.root_health(self.disks.check(&machine.root_disk()).await?)?;
        machine.data_health(self.disks.check(&machine.data_disk()).await?)?;
        if let Some(address) = taken(&machine.record.ports) {
            return Err(VmError::PortTaken { node: machine.record.name()?, address });
        }
        Ok(image)
    }

    /// Removes a machine that has no process any more; with `keep_data` what it stored stays. The caller
    /// holds the node's lock.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, machine: &Machine, keep_data: bool) -> Result<(), VmError> {
        if !keep_data {
            return files::remove(machine.folder());
        }
        let mut kept = machine.clone();
        (kept.record.image, kept.record.started) = (None, false);
        kept.save()?;
        let stays = [machine.data_disk(), machine.folder().join("machine.json")];
        for name in files::names(machine.folder())? {
            let path = machine.folder().join(name);
            if !stays.contains(&path) && !machine.extra_disks().contains(&path) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what is left of a cluster: its network, and data without a machine.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_remains(&self, cluster: &ClusterName) -> Result<(), VmError> {
        for machine in self.list(Some(cluster))? {
            if machine.record.image.is_none() {
                self.remove(&machine, false)?;
            }
        }
        self.networks.remove(cluster)
    }

    /// Removes an image, unless nodes stand on it.
    ///
    /// # Errors
    /// As for [`Images::remove`].
    pub async fn remove_image(&self, key: &str) -> Result<(), VmError> {
        let stands = |machine: &Machine| machine.record.image.as_deref() == Some(key);
        let mut users = Vec::new();
        for machine in self.list(None)?.iter().filter(|machine| stands(machine)) {
            users.push(machine.record.name()?.to_string());
        }
        self.images.remove(key, users).await
    }

    /// Copies what a machine wrote, and what is known about it, into a folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn collect_logs(&self, machine: &Machine, folder: &Path) -> Result<Vec<PathBuf>, VmError> {
        fs::create_dir_all(folder).map_err(VmError::file("create", folder))?;
        let name = machine.record.name()?;
        let sources = [
            (machine.serial_log(), "serial.log"),
            (machine.log(), "vm.log"),
            (machine.folder().join("machine.json"), "machine.json"),
        ];
        let mut written = Vec::new();
        for (from, kind) in sources.iter().filter(|(from, _)| from.is_file()) {
            let to = folder.join(format!("{name}-{kind}"));
            fs::copy(from, &to).map_err(VmError::file("write", &to))?;
            written.push(to);
        }
        Ok(written)
    }
}

/// Snapshots of machines that are off.
impl Machines {
    /// Keeps the disks of a machine under a name; what a try that was cut off has left goes first.
    ///
    /// # Errors
    /// When a disk cannot be written.
    pub async fn save_disks(&self, machine: &Machine, name: &SnapshotName) -> Result<(), VmError> {
        for disk in machine.disks() {
            self.disks.forget(&disk, name.as_str()).await?;
            self.disks.save(&disk, name.as_str()).await?;
        }
        Ok(())
    }

    /// Brings the disks of a machine back to what they were.
    ///
    /// # Errors
    /// When a disk cannot be written.
    pub async fn restore_disks(&self, machine: &Machine, name: &SnapshotName) -> Result<(), VmError> {
        for disk in machine.disks() {
            self.disks.restore(&disk, name.as_str()).await?;
        }
        Ok(())
    }

    /// Removes what was kept of the disks of a machine; nothing happens to disks without it.
    ///
    /// # Errors
    /// When a disk cannot be written.
    pub async fn forget_disks(&self, machine: &Machine, name: &SnapshotName) -> Result<(), VmError> {
        for disk in machine.disks() {
            self.disks.forget(&disk, name.as_str()).await?;
        }
        Ok(())
    }

    /// Removes what was kept of the disks that stay when a machine is made anew.
    ///
    /// # Errors
    /// When a disk cannot be written.
    pub async fn forget_data(&self, machine: &Machine, name: &SnapshotName) -> Result<(), VmError> {
        for disk in machine.disks().iter().filter(|disk| **disk != machine.root_disk() && disk.exists()) {
            self.disks.forget(disk, name.as_str()).await?;
        }
        Ok(())
    }

    /// Fails if a disk can hold less than `needed` bytes more.
    ///
    /// # Errors
    /// [`VmError::NoSpace`].
    pub fn require_space(&self, needed: u64) -> Result<(), VmError> {
        files::require_space(&self.folder, needed)
    }
}

#[cfg(test)]
#[path = "machines/tests.rs"]
mod tests;
