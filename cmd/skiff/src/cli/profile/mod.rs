//! `skiff profile`.

mod list;

use clap::Subcommand;
use skiff_config::{ClusterName, InvalidName};
use skiff_kubeapi::kubeconfig;
use skiff_report::ExitCode;

use crate::{
    context::{Context, print_line},
    failure::Failure,
};

/// Prints the active cluster's name, or makes another one active.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// The cluster to make active; `default` for the default one.
    name: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match (self.action, self.name) {
            (Some(Action::List(args)), _) => args.run(context).await,
            (None, Some(name)) => switch(context, &name),
            (None, None) => {
                print_line(context.cluster.as_str())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Makes a cluster the active one, for skiff and for kubectl. An unknown name changes nothing.
fn switch(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let name = if name == "default" { ClusterName::DEFAULT } else { name };
    let name: ClusterName = name.parse().map_err(|error: InvalidName| {
        let failure = Failure::usage(error.to_string(), "Choose another name.");
        match error {
            InvalidName::Reserved(_) => {
                Failure { id: "MK_RESERVED_PROFILE", exit: ExitCode::PROGRAM_CONFLICT, ..failure }
            }
            InvalidName::Shape(_) => failure,
        }
    })?;
    let store = context.store()?;
    let exists = store.load(&name)?.is_some();
    if !exists && name != ClusterName::default() {
        context.ui.warn(&format!("cluster \"{name}\" not found: `skiff start -p {name}` makes it"));
        return Ok(ExitCode::SUCCESS);
    }
    store.set_active_profile(Some(&name))?;
    print_line(&format!("skiff profile was successfully set to {name}"))?;
    if exists && !kubeconfig::use_context(&context.environment.kubeconfig, name.as_str())? {
        context.ui.warn(&format!("kubectl has no entry for it: `skiff update-context -p {name}` makes one"));
    }
    Ok(ExitCode::SUCCESS)
}
