//! What skiff does for a machine of hyperkit's while it runs, as a program of its own.

use std::{path::PathBuf, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_default();
    if skiff_driver_hyperkit::attend(&folder).await.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
