//! The builder root, entered with namespaces of its own: no network, private mounts, and processes
//! that end with skiff.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use skiff_runner::{Command, LocalRunner, Runner};

use crate::{ArtifactError, job::Job};

/// The words in front of a command that give it namespaces of its own.
fn unshare(more: &[&str]) -> Vec<OsString> {
    // --kill-child: when unshare is killed, its child is, and with that all of the pid namespace.
    let mut argv: Vec<OsString> = ["unshare", "--fork", "--kill-child", "--pid"].map(Into::into).into();
    if !rustix::process::geteuid().is_root() {
        argv.push("--map-root-user".into());
    }
    argv.extend(more.iter().map(|&word| word.into()));
    argv
}

/// What entering the builder root needs.
const PRIVATE: [&str; 4] = ["--mount", "--propagation", "private", "--net"];

/// A command on the host's own file system, in a pid namespace: none of its children outlives it.
pub(super) fn contained(stage: &str, argv: &[&Path]) -> Job {
    let mut full = unshare(&[]);
    full.extend(argv.iter().map(|word| word.as_os_str().to_owned()));
    Job::new(stage, full)
}

/// Fails if the host refuses the namespaces.
pub(super) async fn check() -> Result<(), ArtifactError> {
    let refused = |detail: String| ArtifactError::Namespaces { detail };
    let argv = unshare(&PRIVATE).into_iter().chain(["true".into()]);
    let argv = argv.map(|word| word.to_string_lossy().into_owned());
    let output = LocalRunner.output(Command::new(argv)).await.map_err(|error| refused(error.to_string()))?;
    if output.status == 0 { Ok(()) } else { Err(refused(output.stderr_text().trim().to_owned())) }
}

/// A builder root with folders of the host in it.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    root: PathBuf,
    recipe: PathBuf,
    binds: Vec<(PathBuf, &'static str)>,
}

impl Sandbox {
    pub(super) fn new(root: impl Into<PathBuf>, recipe: impl Into<PathBuf>) -> Self {
        let recipe: PathBuf = recipe.into();
        Self { root: root.into(), binds: vec![(recipe.clone(), "/recipe")], recipe }
    }

    /// Shows a folder of the host inside, writable.
    pub(super) fn bind(mut self, folder: impl Into<PathBuf>, target: &'static str) -> Self {
        self.binds.push((folder.into(), target));
        self
    }

    /// A script of the recipe with its arguments, run inside.
    pub(super) fn script(&self, stage: impl Into<String>, script: &str, arguments: &[&str]) -> Job {
        let mut argv = unshare(&PRIVATE);
        argv.extend(["sh".into(), self.recipe.join("enter.sh").into(), self.root.clone().into()]);
        for (folder, target) in &self.binds {
            argv.extend([folder.into(), target.into()]);
        }
        argv.extend(["--".into(), "sh".into(), format!("/recipe/{script}").into()]);
        argv.extend(arguments.iter().map(|&word| word.into()));
        Job::new(stage, argv)
    }
}
