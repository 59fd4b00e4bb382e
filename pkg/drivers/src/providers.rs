//! Where drivers find what they stand on.

use std::path::PathBuf;

use skiff_driver::DriverKind;
use skiff_driver_docker::DockerDriver;

use crate::{AnyDriver, DriverError};

/// Where drivers find what they stand on. The command line fills it from flags and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers {
    /// Where Docker is, as in `DOCKER_HOST`; this host's own if absent.
    pub docker_host: Option<String>,
    /// The skiff home, where drivers without a daemon of their own keep machines.
    pub home: PathBuf,
    /// Where what can be made again is kept.
    pub cache: PathBuf,
}

impl Providers {
    /// A driver, made and not checked.
    pub(crate) async fn connect(&self, kind: DriverKind) -> Result<AnyDriver, DriverError> {
        match kind {
            DriverKind::Docker => Ok(AnyDriver::Docker(DockerDriver::connect(self.docker_host.as_deref()).await?)),
            DriverKind::Qemu | DriverKind::Hyperkit => Err(DriverError::NotInThisBuild { kind }),
        }
    }
}
