//! `skiff addons images`.

use serde::Serialize;
use skiff_cluster::list_addons;
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

/// An image, and what was asked in its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: String,
    default_image: String,
    default_registry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<String>,
    preloaded: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let catalog = catalog_in_words(context)?;
        let addon = catalog.find(&self.name).map_err(|error| unsupported(error.into()))?;
        let listed = list_addons(&context.store()?, &catalog, &context.cluster)?;
        let wish = listed.into_iter().find(|listing| listing.addon.name == self.name).map(|listing| listing.wish);
        let wish = wish.unwrap_or_default();
        let rows: Vec<Row> = addon
            .images
            .iter()
            .map(|image| {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                Row {
                    default_image: image.reference.as_ref().map_or_else(
                        || "skiff-agent, in every node image".to_owned(),
                        |reference| reference.rest().to_owned(),
                    ),
                    default_registry: text(image.reference.as_ref().and_then(|reference| reference.registry())),
                    image: wish.images.get(&image.name).cloned(),
                    registry: wish.registries.get(&image.name).cloned(),
                    preloaded: image.reference.is_none(),
                    name: image.name.clone(),
                }
            })
            .collect();
        if self.output == Format::Json {
            print(&json(&rows)?)?;
        } else if rows.is_empty() {
            context.ui.info(&format!("The '{}' addon has no images", self.name));
        } else {
            let cells = rows.into_iter().map(|row| {
                let asked = [row.registry, row.image].into_iter().flatten().collect::<Vec<_>>().join("/");
                [row.name, row.default_image, row.default_registry, asked]
            });
            print_line(&table(["Image Name", "Default Image", "Default Registry", "Asked For"], cells).to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
