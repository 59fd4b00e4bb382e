//! Leaves nothing behind, however the bench ends.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Containers, volumes and networks of the bench have names that start so.
pub(crate) const PREFIX: &str = "skiff-bench-";

/// A process that waits for the end of this one, and then removes what it has made.
///
/// It sees the end of this process as the end of its own input. That works for Ctrl-C, for a
/// failure and for a kill alike, without a signal handler.
pub(crate) struct Janitor(Child);

impl Janitor {
    /// Removes what an earlier run may have left, then keeps watch.
    ///
    /// `folder` is removed as well; `skiff` in it deletes the cluster in an orderly way.
    pub(crate) fn employ(folder: &Path, cluster: &str) -> Result<Self, String> {
        let spawn = |stdin: Stdio, folder: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", include_str!("janitor.sh"), "janitor", PREFIX, cluster]).arg(folder);
            // A Ctrl-C goes to all processes of the terminal's own group.
            command.process_group(0).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().map_err(|error| format!("sh: {error}"))
        };
        spawn(Stdio::null(), Path::new(""))?.wait().map_err(|error| format!("sh: {error}"))?;
        spawn(Stdio::piped(), folder).map(Self)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nothing can be done about a janitor that failed; the next run begins with another one.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_when_the_janitor_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.keep();
        let no_docker = |script: &str| script.replace("docker ", "true ");
        let mut command = Command::new("sh");
        command.args(["-c", &no_docker(include_str!("janitor.sh")), "janitor", "none-", "none"]).arg(&path);
        let janitor = Janitor(command.stdin(Stdio::piped()).spawn().unwrap());
        assert!(path.exists());
        drop(janitor);
        assert!(!path.exists());
    }
}
