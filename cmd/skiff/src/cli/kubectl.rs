//! `skiff kubectl`.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use skiff_artifacts::ArtifactSource;
use skiff_cluster::{ClusterError, ComponentState, was_paused};
use skiff_config::KubeVersion;
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
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        let name = &context.cluster;
        // A frozen API server does not even refuse: kubectl would wait for as long as nobody thaws it.
        if was_paused(&store, name)? && is_paused(context).await? {
            return Err(ClusterError::Paused(name.clone()).into());
        }
        let file = store.load(name)?.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
        let version = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?.kubernetes_version;
        // It could only say that a certificate has ended, and not which way out there is.
        if let Some(outdated) = skiff_cluster::outdated(&store, name, SystemTime::now())? {
            context.ui.warn(&outdated);
        }
        let mut kubectl = Command::new(program(context, &version)?);
        kubectl.env("KUBECONFIG", kubeconfig(context)?).args(self.arguments);
        Err(become_program(&mut kubectl))
    }
}

/// True if the API server of a cluster is frozen, and not only until somebody uses it.
async fn is_paused(context: &Context) -> Result<bool, Failure> {
    let host = context.host_in_use("skiff kubectl").await?;
    let status = skiff_cluster::status(&host, &context.cluster).await?;
    let mut servers =
        status.nodes.iter().map(|node| node.apiserver).filter(|state| *state != ComponentState::Irrelevant);
    Ok(servers.all(|state| state == ComponentState::Paused))
}

/// The user's kubeconfig with this cluster as its current context: kubectl takes that from the
/// first file that has one. A flag would do, but not for plugins. The cluster's own file steps in
/// where the user's has lost its entry.
fn kubeconfig(context: &Context) -> Result<OsString, Failure> {
    let (store, name) = (context.store()?, &context.cluster);
    let current = format!("apiVersion: v1\nkind: Config\ncurrent-context: {name}\n");
    let first = context.cluster_file("kubectl-context", &current)?;
    let files = [first].into_iter().chain(context.environment.kubeconfig.clone()).chain([store.kubeconfig_path(name)]);
    env::join_paths(files).map_err(|error| {
        Failure::new("HOST_KUBECONFIG", ExitCode::HOST_CONFIG, format!("KUBECONFIG cannot be used: {error}"), "")
    })
}

/// The kubectl of a version: from the cache, where the artifacts of a start leave it, or the host's own.
fn program(context: &Context, version: &KubeVersion) -> Result<PathBuf, Failure> {
    let kept = context.environment.cache.join("kubectl").join(version.to_string()).join("kubectl");
    if kept.is_file() {
        return Ok(kept);
    }
    // What is there serves, whether it could still be got or not.
    if let Ok(Some(set)) = context.artifacts(Artifacts::DebianAnyPatch, None).cached(version) {
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
