//! The builder root, entered with namespaces of its own: no network, private mounts, and processes
//! that end with skiff.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use skiff_runner::{Command, LocalRunner, Runner};

use crate::{ArtifactError, job::Job};

/// Makes a user namespace in which the user counts as root; nothing where that is so already.
fn as_root() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &[] } else { &["unshare", "--map-root-user", "--"] }
}

/// Makes the other namespaces. When unshare is killed its child is, and with that all of the pid
/// namespace.
const CONTAINED: [&str; 4] = ["unshare", "--fork", "--kill-child", "--pid"];

/// What entering the builder root needs.
const PRIVATE: [&str; 4] = ["--mount", "--propagation", "private", "--net"];

/// A command on the host's own file system, in a pid namespace: none of its children outlives it.
pub(super) fn contained(stage: &str, argv: &[&Path]) -> Job {
    let words = CONTAINED.map(OsString::from).into_iter();
    Job::through(stage, as_root(), words.chain(argv.iter().map(|word| word.as_os_str().to_owned())))
}

/// Fails if the host refuses the namespaces.
pub(super) async fn check() -> Result<(), ArtifactError> {
    let refused = |detail: String| ArtifactError::Namespaces { detail };
    let argv = as_root().iter().chain(&CONTAINED).chain(&PRIVATE).chain(&["true"]).copied();
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
        let mut argv: Vec<OsString> = CONTAINED.iter().chain(&PRIVATE).map(Into::into).collect();
        argv.extend(["sh".into(), self.recipe.join("enter.sh").into(), self.root.clone().into()]);
        for (folder, target) in &self.binds {
            argv.extend([folder.into(), target.into()]);
        }
        argv.extend(["--".into(), "sh".into(), format!("/recipe/{script}").into()]);
        argv.extend(arguments.iter().map(|&word| word.into()));
        Job::through(stage, as_root(), argv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_without_network_and_ends_with_its_starter() {
        let sandbox = Sandbox::new("/cache/root", "/cache/recipe").bind("/cache/go", "/gocache");
        let command = format!("{:?}", sandbox.script("compiling", "compile.sh", &["v1.20.2"]));
        for words in [
            r#""setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child""#,
            r#""--net", "sh", "/cache/recipe/enter.sh", "/cache/root", "/cache/recipe", "/recipe", "/cache/go", "/gocache""#,
            r#""--", "sh", "/recipe/compile.sh", "v1.20.2""#,
        ] {
            assert!(command.contains(words), "{command}");
        }
    }
}
