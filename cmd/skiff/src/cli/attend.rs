//! `skiff attend-machine`: what skiff does beside a running machine of hyperkit's. Only skiff itself
//! calls it.

use std::path::PathBuf;

use skiff_drivers::{DriverError, attend};
use skiff_report::ExitCode;

use crate::failure::Failure;

/// Forwards a machine's ports until it ends.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    /// The machine's folder.
    folder: PathBuf,
}

impl Args {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        attend(&self.folder).await.map_err(DriverError::from)?;
        Ok(ExitCode::SUCCESS)
    }
}
