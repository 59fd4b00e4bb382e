//! What every verb gets.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use skiff_config::ClusterName;
use skiff_drivers::MachineWishes;
use skiff_report::{ExitCode, Reporter};
use skiff_store::Store;

use crate::{
    environment::Environment, failure::Failure, interrupt::Interrupt, journal::Journal, settings::Settings, ui::Ui,
};

/// The surroundings of one command.
pub(crate) struct Context {
    /// The process's environment.
    pub(crate) environment: Environment,
    /// The user's settings file.
    pub(crate) settings: Settings,
    /// Name of the cluster the command is about.
    pub(crate) cluster: ClusterName,
    /// Where events go.
    pub(crate) ui: Arc<dyn Ui>,
    /// Ctrl-C.
    pub(crate) interrupt: Interrupt,
    /// Wishes for virtual machines that this command makes.
    pub(crate) machines: MachineWishes,
}

impl Context {
    /// The files under the skiff home, which is made if it is absent.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.environment.home)?.sharing(common_folder()))
    }

    /// The renderer, with a cluster's log of events before it.
    pub(crate) fn journal(&self, cluster: &ClusterName) -> Result<Journal, Failure> {
        Ok(Journal::new(Arc::clone(&self.ui) as Arc<dyn Reporter>, self.store()?, cluster.clone()))
    }

    /// Keeps the first failure of several pieces of work; one that follows it is shown at once.
    pub(crate) fn first_failure(&self, result: Result<ExitCode, Failure>, next: Failure) -> Result<ExitCode, Failure> {
        if result.is_err() {
            self.ui.warn(&next.full_message());
            return result;
        }
        Err(next)
    }

    /// Writes a file of the cluster's, unless it says so already, and returns its path.
    pub(crate) fn cluster_file(&self, file: &str, text: &str) -> Result<PathBuf, Failure> {
        let store = self.store()?;
        if store.read_file(&self.cluster, file)?.is_some_and(|old| old == text.as_bytes()) {
            return Ok(store.profile_dir(&self.cluster).join(file));
        }
        Ok(store.write_file(&self.cluster, file, text.as_bytes())?)
    }
}

/// Where the homes of this user know of each other. Not `TMPDIR`'s: that is another one for each of those
/// who want to be by themselves, and they share the host all the same.
fn common_folder() -> PathBuf {
    PathBuf::from(format!("/tmp/skiff-{}", rustix::process::getuid().as_raw()))
}

/// Writes a command's answer to standard output.
///
/// A reader that went away ends the command without a word, with the code a shell gives to
/// programs that SIGPIPE ended.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::new("HOST_STDOUT_CLOSED", ExitCode(141), "", "")
        } else {
            Failure::new("HOST_STDOUT", ExitCode::HOST_ERROR, format!("cannot write to standard output: {error}"), "")
        }
    })
}

/// Like [`print()`], for text without its last line break.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}
