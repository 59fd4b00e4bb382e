//! The driver itself: its settings, and the traits it implements.

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
};

use skiff_config::{ClusterName, NodeName};
use skiff_driver::{
    Capabilities, Driver, DriverKind, Endpoints, ImageInfo, MachineState, NetworkRequest, NodeImage, NodeImages,
    NodeNetwork, NodeSpec, NodeStatus, SnapshotKind,
};
use skiff_report::{Reporter, Silent};
use skiff_vm::{DiskTool, Machines, VmError};

use crate::{
    Error, QemuOptions,
    arguments::{self, Arch},
    folders,
    life::{FIRMWARE, trouble},
    version,
};

/// Nodes as virtual machines of one QEMU.
#[derive(Debug)]
pub struct QemuDriver {
    pub(crate) options: QemuOptions,
    pub(crate) machines: Machines,
}

impl QemuDriver {
    /// A driver with these settings. Whether there is a QEMU is [`check`](Driver::check)'s to tell.
    #[must_use]
    pub fn new(options: QemuOptions) -> Self {
        // QEMU runs elsewhere, and files name each other.
        let folder = std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone());
        let machines = Machines::at(folder, DiskTool::qcow2("qemu-img"), Some(arguments::inner()));
        Self { options, machines }
    }

    /// QEMU's program.
    pub(crate) fn program(&self) -> Result<String, Error> {
        match &self.options.program {
            Some(program) => Ok(program.clone()),
            None => Ok(Arch::host()?.program().to_owned()),
        }
    }

    /// Processors and memory of this host.
    pub(crate) fn host(&self) -> Result<(u32, u64), Error> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let memory = memory().map_err(VmError::file("measure", "the host's memory"))?;
        Ok((u32::try_from(processors).unwrap_or(u32::MAX), memory))
    }
}

#[cfg(target_os = "linux")]
fn memory() -> io::Result<u64> {
    let info = rustix::system::sysinfo();
    Ok(info.totalram.saturating_mul(u64::from(info.mem_unit)))
}

#[cfg(not(target_os = "linux"))]
fn memory() -> io::Result<u64> {
    let output = std::process::Command::new("sysctl").args(["-n", "hw.memsize"]).output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(io::Error::other)
}

impl Driver for QemuDriver {
    type Error = Error;

    fn kind(&self) -> DriverKind {
        DriverKind::Qemu
    }

    async fn check(&self) -> Result<Capabilities, Error> {
        version::of(&self.program()?).await?;
        self.machines.require_tool().await?;
        if let Some(path) = self.options.firmware.as_ref().filter(|path| !path.is_file()) {
            return Err(Error::FirmwareMissing { path: path.clone() });
        }
        let (cpus, memory) = self.host()?;
        Ok(Capabilities {
            shares_host_kernel: false,
            unified_cgroups: true,
            routable_nodes: false,
            live_resize: false,
            ipv6_ports: false,
            // Their network is made of sockets that carry IPv4.
            ipv6: false,
            disk_limit: true,
            host_folders: true,
            snapshots: SnapshotKind::Memory,
            cpus,
            memory,
        })
    }

    /// What is not known yet is tried by a tiny machine, if what machines boot with is there.
    async fn emulation(&self) -> Option<String> {
        let (program, kit) = (self.program().ok()?, &self.options.kit);
        let version = version::of(&program).await.ok()?.to_string();
        self.probe(&program, version, kit.kernel(), kit.initrd()).ok()?.emulation().await
    }

    async fn ensure_network(&self, request: &NetworkRequest) -> Result<NodeNetwork, Error> {
        Ok(self.machines.networks.ensure(request).await?)
    }

    async fn create(&self, spec: &NodeSpec, reporter: &dyn Reporter) -> Result<(), Error> {
        if let Some(port) = spec.published.iter().find(|port| port.host_ip.is_ipv6()) {
            return Err(Error::AddressUnsupported { address: port.host_ip });
        }
        let _lock = self.machines.lock(&spec.name).await?;
        folders::require(spec.mounts.iter().map(|mount| mount.host.as_path()))?;
        // One that skiff was killed before it could note must be found before its disks are replaced.
        if let Some(old) = self.machines.find(&spec.cluster, &spec.name)? {
            self.process(&old);
        }
        let firmware = self.options.firmware.as_ref().map(|path| path.display().to_string());
        let machine = self.machines.create(spec, arguments::egress(), |record| {
            record.extra_disks = self.options.extra_disks;
            record.driver.extend(firmware.map(|path| (FIRMWARE.to_owned(), path)));
        });
        machine.await?;
        // Now there is somebody to tell.
        let program = self.program()?;
        let image = self.machines.images.get(&spec.image)?;
        let version = version::of(&program).await?.to_string();
        self.probe(&program, version, image.kernel(), image.initrd())?.choose(reporter).await;
        Ok(())
    }

    async fn start(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.start_machine(cluster, node, &Silent).await
    }

    async fn pause(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        self.pause_machine(cluster, node).await
    }

    async fn stop(&self, cluster: &ClusterName, node: &NodeName) -> Result<(), Error> {
        let _lock = self.machines.lock(node).await?;
        match self.machines.find(cluster, node)? {
            Some(machine) => self.end_machine(&machine, true).await,
            None => Ok(()),
        }
    }

    async fn delete(&self, cluster: &ClusterName, node: &NodeName, keep_data: bool) -> Result<(), Error> {
        let lock = self.machines.lock(node).await?;
        let Some(machine) = self.machines.find(cluster, node)? else { return Ok(self.machines.unlock(node, lock)?) };
        let lost = if keep_data { self.lost_snapshots(&machine).await? } else { Vec::new() };
        self.end_machine(&machine, keep_data).await?;
        for snapshot in lost {
            self.machines.forget_data(&machine, &snapshot.name).await?;
        }
        self.machines.remove(&machine, keep_data)?;
        Ok(self.machines.unlock(node, lock)?)
    }

    async fn delete_remains(&self, cluster: &ClusterName) -> Result<(), Error> {
        Ok(self.machines.remove_remains(cluster)?)
    }

    async fn list(&self, cluster: Option<&ClusterName>) -> Result<Vec<NodeStatus>, Error> {
        let mut nodes = Vec::new();
        for machine in self.machines.list(cluster)? {
            let mut node = machine.status(self.state(&machine).await?)?;
            if node.state == MachineState::Paused {
                node.trouble = trouble(&machine).await;
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    async fn endpoints(&self, cluster: &ClusterName, node: &NodeName) -> Result<Endpoints, Error> {
        let machine = self.machines.get(cluster, node)?;
        Ok(machine.endpoints(self.state(&machine).await?)?)
    }

    async fn collect_logs(&self, cluster: &ClusterName, node: &NodeName, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let machine = self.machines.get(cluster, node)?;
        Ok(self.machines.collect_logs(&machine, folder)?)
    }
}

impl NodeImages for QemuDriver {
    async fn import_image(&self, image: &NodeImage, reporter: &dyn Reporter) -> Result<(), Error> {
        Ok(self.machines.images.import(image, &self.options.kit, reporter).await?)
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>, Error> {
        Ok(self.machines.images.list()?)
    }

    async fn remove_image(&self, key: &str) -> Result<(), Error> {
        Ok(self.machines.remove_image(key).await?)
    }
}
