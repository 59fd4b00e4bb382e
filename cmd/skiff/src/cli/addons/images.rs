//! `skiff addons images`.

use serde::Serialize;
use skiff_cluster::{ListedImage, list_addons};
use skiff_report::ExitCode;

use super::{catalog_in_words, disable::unsupported};
use crate::{
    cli::output::json,
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// Lists the images of an addon, by the names that --images and --registries take.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addon.
    #[arg(value_name = "ADDON")]
    name: String,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    // For people.
    Table,
    // For programs.
    Json,
}

/// An image, in minikube's shape and with some more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    default_image: &'a str,
    default_registry: &'a str,
    image: &'a str,
    preloaded: bool,
}

impl<'a> From<&'a ListedImage> for Row<'a> {
    fn from(image: &'a ListedImage) -> Self {
        Self {
            name: &image.name,
            default_image: &image.image,
            default_registry: &image.registry,
            image: &image.used,
            preloaded: image.preloaded,
        }
    }
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let catalog = catalog_in_words(context)?;
        let _ = catalog.find(&self.name).map_err(|error| unsupported(error.into()))?;
        let listed = list_addons(&context.store()?, &catalog, &context.cluster)?;
        let images = listed.into_iter().find(|it| it.addon.name == self.name).map(|it| it.images).unwrap_or_default();
        if self.output == Format::Json {
            print(&json(&images.iter().map(Row::from).collect::<Vec<_>>())?)?;
        } else if images.is_empty() {
            context.ui.info(&format!("The '{}' addon has no images", self.name));
        } else {
            print_line(&to_table(&images))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn to_table(images: &[ListedImage]) -> String {
    let cells = images.iter().map(|it| {
        let default = if it.registry.is_empty() { it.image.clone() } else { format!("{}/{}", it.registry, it.image) };
        let asked = if it.used == default { String::new() } else { it.used.clone() };
        let from = if it.preloaded { "the node image" } else { "a registry" };
        [it.name.clone(), it.image.clone(), it.registry.clone(), asked, from.to_owned()]
    });
    table(["Image Name", "Default Image", "Default Registry", "Asked For", "Comes From"], cells).to_string()
}
