//! Nodes as virtual machines of QEMU.
//!
//! Files and QEMU's own monitor are the only memory of this driver: [`skiff_vm`] keeps the files, the
//! monitor (`qmp`) tells what a machine does. What QEMU is started with is computed by plain functions
//! (`arguments`); the other modules run it.

mod accelerator;
mod arguments;
mod driver;
mod error;
mod folders;
mod life;
mod options;
mod qmp;
mod snapshots;
mod version;

pub use accelerator::Accelerator;
pub use driver::QemuDriver;
pub use error::Error;
pub use options::QemuOptions;
pub use skiff_vm::Kit;
