//! Where the driver finds and keeps things.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::Platform;

/// Where macOS' DHCP server keeps its leases.
pub const LEASES: &str = "/var/db/dhcpd_leases";

/// Where the driver finds and keeps things, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of its machines, images and networks.
    pub machines: PathBuf,
    /// The folder with kernel and initial RAM disk.
    pub kit: PathBuf,
    /// hyperkit itself, where the user names one. Whoever does that knows that it runs here.
    pub program: Option<PathBuf>,
    /// The file of leases.
    pub leases: PathBuf,
    /// What kind of host this is; found out if absent.
    pub platform: Option<Platform>,
    /// The program that runs [`attend`](crate::attend()) on the folder it gets as its last argument.
    pub attendant: Vec<OsString>,
    /// How many empty disks machines get that are made from now on.
    pub extra_disks: u32,
    /// How long a machine may take to get its address.
    pub lease_patience: Duration,
    /// How long a machine may take to shut down.
    pub stop_patience: Duration,
}

impl Options {
    /// The usual places of macOS.
    #[must_use]
    pub fn new(machines: PathBuf, kit: PathBuf, attendant: Vec<OsString>) -> Self {
        Self {
            machines,
            kit,
            attendant,
            program: None,
            leases: LEASES.into(),
            platform: None,
            extra_disks: 0,
            lease_patience: Duration::from_secs(120),
            stop_patience: Duration::from_secs(60),
        }
    }
}
