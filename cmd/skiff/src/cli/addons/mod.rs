//! `skiff addons`.

mod configure;
mod disable;
mod enable;
mod images;
mod list;
mod open;
mod settings;
mod status;

use clap::Subcommand;
use skiff_addons::Catalog;
use skiff_report::ExitCode;

use crate::{context::Context, failure::Failure};

/// Switches parts of the cluster on and off: ingress, metrics, a registry.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, visible_alias = "addon")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Args),
    Enable(enable::Args),
    Disable(disable::Args),
    Configure(configure::Args),
    Images(images::Args),
    Open(open::Args),
    Status(status::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.action {
            Action::List(args) => args.run(context),
            Action::Enable(args) => args.run(context).await,
            Action::Disable(args) => args.run(context).await,
            Action::Configure(args) => args.run(context).await,
            Action::Images(args) => args.run(context),
            Action::Open(args) => args.run(context).await,
            Action::Status(args) => args.run(context).await,
        }
    }
}

/// All addons there are.
pub(crate) fn catalog(_context: &Context) -> Result<Catalog, Failure> {
    Ok(Catalog::built_in()?)
}
