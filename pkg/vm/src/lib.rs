//! What drivers of virtual machines share.
//!
//! All that is known about machines lies in files below one folder a driver, so that everything is
//! found again without any file of skiff's own ([`Machines`]):
//!
//! ```text
//! images/<key>/     disk.raw, vmlinuz, initrd: what nodes of an image start from, never written again
//! networks/<cluster>.json
//! nodes/<node>/     machine.json, root and data disks, seed.img, serial.log, pid, snapshots/
//! ```
//!
//! A driver adds how its machines are started and asked to stop. A node has two disks of its own: the
//! root, a layer over the image that goes with the machine, and `/var`, which is kept.

mod console;
mod disk;
mod error;
mod files;
mod folders;
mod image;
mod kit;
mod lock;
mod machine;
mod machines;
mod network;
mod ports;
mod process;
mod record;
mod seed;
mod snapshot;

pub use console::last_complaint;
pub use disk::{DiskFormat, DiskTool};
pub use error::VmError;
pub use folders::SharedFolder;
pub use image::{Image, Images};
pub use kit::Kit;
pub use lock::Lock;
pub use machine::Machine;
pub use machines::Machines;
pub use network::Networks;
pub use ports::{PortForward, taken};
pub use process::{PidFile, end, signal, wait_gone};
pub use record::MachineRecord;
pub use seed::{Egress, Seed};
pub use snapshot::SnapshotRecord;
