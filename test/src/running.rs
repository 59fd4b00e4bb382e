//! Programs that run while the test goes on.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::{Finished, eventually};

/// A program that runs; it is killed when it goes out of scope.
pub struct Running {
    child: Child,
    line: String,
    // Files, because a full pipe would stop the program.
    folder: TempDir,
}

impl Running {
    /// Starts a command.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("skiff-run-{}-", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a temporary folder");
        let file = |name: &str| Stdio::from(fs::File::create(folder.path().join(name)).expect("an output file"));
        let line = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        Self { child, line, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.file(name)).unwrap_or_default()).into_owned()
    }

    /// What it wrote to both streams so far, standard output first.
    #[must_use]
    pub fn output(&self) -> String {
        self.read("stdout") + &self.read("stderr")
    }

    /// Waits until it wrote something; true if it did, false if it ended before.
    ///
    /// # Panics
    /// When neither happens.
    pub fn wrote(&mut self, text: &str) -> bool {
        eventually(&format!("`{text}` from {}", self.line), || {
            if self.output().contains(text) {
                return Ok(true);
            }
            match self.child.try_wait() {
                Ok(None) => Err(self.output()),
                _ => Ok(self.output().contains(text)),
            }
        })
    }

    /// True if it has ended.
    #[must_use]
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, named as `kill` names it. A program that has ended does not mind.
    pub fn signal(&self, name: &str) {
        let _ = Finished::of(Command::new("kill").args(["-s", name, &self.id().to_string()]));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the system loses it.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let status = self.child.wait().expect("the end of a program");
        Finished::new(self.line.clone(), status, self.read("stdout"), self.read("stderr"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
