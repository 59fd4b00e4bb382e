//! The user's browser.

use std::{
    io,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use skiff_report::ExitCode;

use crate::failure::Failure;

/// The program that opens URLs.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
/// An opener that fails does so at once; one that goes on may be the browser itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens a URL.
pub(super) fn open(url: &str) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::new(
            "HOST_BROWSER",
            ExitCode::HOST_ERROR,
            format!("the browser cannot be opened: {why}"),
            format!("Open {url} yourself; --url only prints it."),
        )
    };
    let quiet = Stdio::null;
    let spawned = Command::new(OPENER).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    let mut opener = spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(format!("there is no {OPENER}")),
        _ => failed(format!("{OPENER}: {error}")),
    })?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match opener.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(format!("{OPENER} ended with {status}"))),
            Ok(None) => thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(failed(format!("{OPENER}: {error}"))),
        }
    }
    Ok(())
}
