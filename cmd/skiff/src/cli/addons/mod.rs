//! `skiff addons`.

mod ask;
mod catalogs;
mod configure;
mod disable;
mod enable;
mod images;
mod list;
mod open;
mod settings;
mod status;

use clap::Subcommand;
pub(crate) use settings::AddonArgs;
use skiff_addons::Catalog;
use skiff_cluster::ClusterError;
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
    Catalog(catalogs::Args),
    Status(status::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.action {
            Action::List(args) => args.run(context),
            Action::Enable(args) => args.run(context).await,
            Action::Disable(args) => args.run(context).await,
            Action::Configure(args) => args.run(context).await,
            Action::Images(args) => args.run(context).await,
            Action::Open(args) => args.run(context).await,
            Action::Catalog(args) => args.run(context).await,
            Action::Status(args) => args.run(context).await,
        }
    }
}

/// All addons there are: those built in, and those of catalogs that the user added.
pub(crate) fn catalog(context: &Context) -> Result<Catalog, Failure> {
    let mut catalog = Catalog::built_in()?;
    catalog.add_sources(&catalogs::sources(context)?);
    Ok(catalog)
}

/// Runs a change of addons to its end, or until Ctrl-C, and says then how it goes on.
async fn to_its_end<T>(
    context: &Context,
    names: &[String],
    change: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, Failure> {
    let done = context.interrupt.unless(async { change.await.map_err(Failure::from) }).await;
    done.map_err(|failure| match failure.id {
        "MK_INTERRUPTED" => {
            let names = names.join(" ");
            let advice = format!(
                "`skiff addons enable {names}` or `skiff addons disable {names}` finishes what was begun; the next start of \
                 the cluster does so as well."
            );
            Failure { advice, ..failure }
        }
        _ => failure,
    })
}

/// All addons, and says what keeps a catalog from being used.
fn catalog_in_words(context: &Context) -> Result<Catalog, Failure> {
    let catalog = catalog(context)?;
    for problem in catalog.broken() {
        context.ui.warn(problem);
    }
    Ok(catalog)
}
