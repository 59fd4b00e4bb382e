//! `skiff addons images`.

use std::collections::BTreeMap;

use serde::Serialize;
use skiff_cluster::{ListedImage, list_addons};
use skiff_report::ExitCode;

use super::{catalog_in_words, disable::unsupported};
use crate::{
    cli::{
        image,
        output::{ListFormat, json},
    },
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
    output: ListFormat,
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
    /// What the cluster has under that name, if it has anything.
    #[serde(rename = "ImageID", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(image: &'a ListedImage, ids: &'a Ids) -> Self {
        Self {
            name: &image.name,
            default_image: &image.image,
            default_registry: &image.registry,
            image: &image.used,
            preloaded: image.preloaded,
            id: ids.get(&image.used).map(String::as_str),
        }
    }
}

/// The ids of images by their names. They tell an image's content, as a digest does in a registry.
type Ids = BTreeMap<String, String>;

/// The images that the cluster holds; none unless it runs.
async fn ids(context: &Context) -> Ids {
    let Ok(host) = context.host_of_cluster("skiff addons images").await else { return Ids::new() };
    image::ids(context, &host).await.unwrap_or_default()
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let catalog = catalog_in_words(context)?;
        let _ = catalog.find(&self.name).map_err(|error| unsupported(error.into()))?;
        let listed = list_addons(&context.store()?, &catalog, &context.cluster)?;
        let images = listed.into_iter().find(|it| it.addon.name == self.name).map(|it| it.images).unwrap_or_default();
        let ids = if images.is_empty() { Ids::new() } else { ids(context).await };
        let rows: Vec<Row<'_>> = images.iter().map(|image| Row::new(image, &ids)).collect();
        if self.output == ListFormat::Json {
            print(&json(&rows)?)?;
        } else if rows.is_empty() {
            context.ui.info(&format!("The '{}' addon has no images", self.name));
        } else {
            print_line(&to_table(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn to_table(rows: &[Row<'_>]) -> String {
    let cells = rows.iter().map(|it| {
        let default = match it.default_registry {
            "" => it.default_image.to_owned(),
            registry => format!("{registry}/{}", it.default_image),
        };
        let asked = if it.image == default { "" } else { it.image };
        let from = if it.preloaded { "the node image" } else { "a registry" };
        // As long as kubectl and crictl show them.
        let id = it.id.map_or("", |id| id.get(..13).unwrap_or(id));
        [it.name, it.default_image, it.default_registry, asked, from, id].map(str::to_owned)
    });
    let head = ["Image Name", "Default Image", "Default Registry", "Asked For", "Comes From", "Image ID"];
    table(head, cells).to_string()
}
