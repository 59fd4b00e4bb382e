//! `skiff kubectl`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use skiff_artifacts::ArtifactSource;
use skiff_cluster::ClusterError;
use skiff_config::KubeVersion;
use skiff_kubeapi::kubeconfig;
use skiff_report::ExitCode;

use super::node::become_program;
use crate::{context::Context, failure::Failure, wiring::Artifacts};

/// Runs the kubectl of the cluster's version, with the cluster as its context.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Arguments of kubectl; those after `--` are not read by skiff.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

impl Args {
    /// Becomes kubectl, so that terminal, streams and exit status are its own.
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        let name = &context.cluster;
        let file = store.load(name)?.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
        let version = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?.kubernetes_version;
        let mut kubectl = Command::new(program(context, &version)?);
        // The user's own file, so that changes to it last; the cluster's own if that one lost its entry.
        if kubeconfig::endpoint_of(&context.environment.kubeconfig, name.as_str())?.is_none() {
            kubectl.arg("--kubeconfig").arg(store.kubeconfig_path(name));
        }
        kubectl.args(["--context", name.as_str()]).args(self.arguments);
        Err(become_program(&mut kubectl))
    }
}

/// The kubectl of a version: from the cache, where the artifacts of a start leave it, or the host's own.
fn program(context: &Context, version: &KubeVersion) -> Result<PathBuf, Failure> {
    let kept = context.environment.cache.join("kubectl").join(version.to_string()).join("kubectl");
    if kept.is_file() {
        return Ok(kept);
    }
    if let Some(set) = context.artifacts(Artifacts::Auto, None).cached(version)? {
        // Checking the whole set takes a second, so what was checked is kept apart.
        return Ok(keep(&set.kubectl.path, &kept).map_or(set.kubectl.path, |()| kept));
    }
    context.ui.warn(&format!("the kubectl of Kubernetes {version} is not in the cache: using the one in PATH"));
    Ok(PathBuf::from("kubectl"))
}

fn keep(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let part = to.with_extension(std::process::id().to_string());
    fs::hard_link(from, &part).or_else(|_| fs::copy(from, &part).map(drop))?;
    fs::rename(&part, to)
}
