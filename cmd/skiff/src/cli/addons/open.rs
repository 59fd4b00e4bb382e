//! `skiff addons open`.

use clap::Parser as _;
use skiff_cluster::{ClusterError, list_addons};
use skiff_report::ExitCode;

use super::{catalog_in_words, disable::unsupported};
use crate::{cli::service, context::Context, failure::Failure};

/// Opens what an addon shows in the browser, or prints its URL.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addon.
    #[arg(value_name = "ADDON")]
    name: String,
    /// Only print the URL.
    #[arg(long)]
    url: bool,
    /// Write https instead of http.
    #[arg(long)]
    https: bool,
    /// How to write the URL; there are {{.IP}}, {{.Port}} and {{.Name}}.
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// How long to wait for the service, in seconds or such as 1m.
    #[arg(long, value_name = "TIME", default_value = "20")]
    wait: String,
    /// How long to rest between two looks, in seconds or such as 500ms.
    #[arg(long, value_name = "TIME", default_value = "1")]
    interval: String,
}

/// The verb that does the work.
#[derive(Debug, clap::Parser)]
struct Service {
    #[command(flatten)]
    args: service::Args,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let Self { name, url, https, format, wait, interval } = self;
        let catalog = catalog_in_words(context)?;
        let addon = catalog.find(&name).map_err(|error| unsupported(error.into()))?;
        let listed = list_addons(&context.store()?, &catalog, &context.cluster)?;
        let enabled = listed.iter().find(|listing| listing.addon.name == name).and_then(|listing| listing.enabled);
        match enabled {
            None => return Err(ClusterError::NotFound(context.cluster.clone()).into()),
            Some(false) => {
                return Err(Failure::new(
                    "SVC_ADDON_NOT_ENABLED",
                    ExitCode::PROGRAM_CONFLICT,
                    format!("addon '{name}' is not enabled"),
                    format!("Enable it: `skiff addons enable {name} -p {}`.", context.cluster),
                ));
            }
            Some(true) => {}
        }
        let Some(open) = &addon.open else {
            return Err(Failure::new(
                "SVC_NOT_FOUND",
                ExitCode(115),
                format!("addon '{name}' has nothing to look at"),
                format!("Its documentation: {}", addon.docs),
            ));
        };
        let mut words: Vec<String> =
            ["service", &open.service, "--namespace", &open.namespace, "--wait", &wait, "--interval", &interval]
                .map(str::to_owned)
                .to_vec();
        words.extend(format.into_iter().flat_map(|format| ["--format".to_owned(), format]));
        words.extend(
            [(url, "--url"), (https, "--https")].iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()),
        );
        let Service { mut args } =
            Service::try_parse_from(words).map_err(|error| Failure::from_clap(&error, "skiff addons open"))?;
        args.port.clone_from(&open.port);
        if open.path != "/" {
            args.path.clone_from(&open.path);
        }
        args.run(context).await
    }
}
