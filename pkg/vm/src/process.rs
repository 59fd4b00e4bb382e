//! The process of a machine: found again after skiff ended, never mistaken for another.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use skiff_store::Process;

use crate::{VmError, files};

/// How often a process that should end is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A file that names a process by number, start time and boot.
#[derive(Debug, Clone)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// The file at a path, which need not be there.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Notes a process that runs now.
    ///
    /// # Errors
    /// When the file cannot be written, or the process has ended already.
    pub fn write(&self, pid: u32) -> Result<Process, VmError> {
        let gone = || VmError::file("find the process of", &self.path)(io::ErrorKind::NotFound.into());
        let process = Process::of(pid).ok_or_else(gone)?;
        files::write(&self.path, process.to_string().as_bytes())?;
        Ok(process)
    }

    /// The process, if it still runs. Another one that got its number does not count, nor does one
    /// that runs on another host or in another container.
    #[must_use]
    pub fn alive(&self) -> Option<Process> {
        let process: Process = fs::read_to_string(&self.path).ok()?.trim().parse().ok()?;
        (process.is_alive() == Some(true) && !is_zombie(process.pid)).then_some(process)
    }

    /// Removes the file; nothing happens if it is absent.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<(), VmError> {
        files::remove(&self.path)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// True for a process that has ended and that nobody has asked about since.
fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Sends a signal; nothing happens if the process is gone.
pub fn signal(process: &Process, signal: Signal) {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| process.is_alive() == Some(true)) {
        // It may have ended by itself since.
        let _ = kill_process(pid, signal);
    }
}

/// Waits until a process is gone; false if it is not after `patience`.
pub async fn wait_gone(process: &Process, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        if process.is_alive() == Some(false) || is_zombie(process.pid) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends a process: asks with SIGTERM, waits for `patience`, then kills it. False if it is still there.
pub async fn end(process: &Process, patience: Duration) -> bool {
    signal(process, Signal::TERM);
    if wait_gone(process, patience).await {
        return true;
    }
    signal(process, Signal::KILL);
    wait_gone(process, Duration::from_secs(10)).await
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_process_is_alive_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = PidFile::at(dir.path().join("pid"));
        assert!(file.alive().is_none());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = file.write(child.id()).unwrap();
        assert_eq!(file.alive(), Some(process.clone()));
        assert!(!wait_gone(&process, Duration::from_millis(1)).await);
        assert!(end(&process, Duration::from_secs(5)).await);
        assert!(file.alive().is_none(), "it only waits to be asked about");
        child.wait().unwrap();
        file.remove().unwrap();
        file.remove().unwrap();
    }

    #[tokio::test]
    async fn a_process_that_does_not_listen_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo; while :; do sleep 1; done"]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        io::Read::read(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(end(&process, Duration::from_millis(50)).await);
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_went_to_another_process_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let me = Process::me().to_string();
        let mut parts: Vec<&str> = me.split(':').collect();
        parts[1] = "1";
        fs::write(&path, parts.join(":")).unwrap();
        assert!(PidFile::at(&path).alive().is_none());
        fs::write(&path, "nonsense").unwrap();
        assert!(PidFile::at(&path).alive().is_none());
    }
}
