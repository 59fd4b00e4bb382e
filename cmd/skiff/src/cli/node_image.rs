//! `skiff node-image`.

use clap::Subcommand;
use skiff_cluster::ImageSource;
use skiff_config::KubeVersion;
use skiff_driver::{ImageInfo, NodeImages};
use skiff_report::{ExitCode, Step};

use super::start::SourceArgs;
use crate::{
    context::{Context, print_line},
    failure::Failure,
    ui::{megabytes, table},
};

/// Builds, lists and removes the images that nodes are made from.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Builds the node image of a Kubernetes version, if the driver does not have it.
    Build {
        /// Kubernetes version, such as v1.20.2, 1.20 or stable.
        #[arg(long, value_name = "VERSION", default_value = "stable")]
        kubernetes_version: String,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Lists the node images.
    #[command(visible_alias = "list")]
    Ls,
    /// Removes a node image.
    Rm {
        /// Its key, the beginning of its key, or its name, as `ls` shows them.
        image: String,
    },
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Build { kubernetes_version, source } => build(context, &kubernetes_version, &source).await,
            Action::Ls => list(context).await,
            Action::Rm { image } => remove(context, &image).await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn build(context: &Context, version: &str, source: &SourceArgs) -> Result<(), Failure> {
    let version: KubeVersion =
        version.parse().map_err(|error| Failure::usage(format!("--kubernetes-version: {error}"), ""))?;
    let host = context.host("skiff node-image build").await?;
    let images = source.images(context, &host.driver)?;
    let key = images.key(&version).await?;
    let there = |image: &ImageInfo| image.key == key;
    if !host.driver.list_images().await?.iter().any(there) {
        let reporter = &*context.ui;
        context.ui.step(Step::DownloadingArtifacts, &format!("Building the node image of Kubernetes {version}"));
        let image = images.build(&version, reporter).await?;
        context.ui.step(Step::PullingBaseImage, "Giving the node image to the driver");
        host.driver.import_image(&image, reporter).await?;
        // What cannot be tidied up now will be by the next build.
        let _ = images.discard(&version);
        context.ui.finish();
    }
    let image = host.driver.list_images().await?.into_iter().find(there);
    print_line(&image.map_or(key, |image| image.name))
}

async fn list(context: &Context) -> Result<(), Failure> {
    let host = context.host("skiff node-image ls").await?;
    let rows = host.driver.list_images().await?.into_iter().map(|image| {
        let version = image.labels.get("kubernetes").cloned().unwrap_or_default();
        [image.name, version, image.key, megabytes(image.size)]
    });
    print_line(&table(["Image", "Kubernetes", "Key", "Size"], rows).to_string())
}

async fn remove(context: &Context, wanted: &str) -> Result<(), Failure> {
    let host = context.host("skiff node-image rm").await?;
    let images = host.driver.list_images().await?;
    let failure = |problem: String| {
        let advice = "`skiff node-image ls` lists them.";
        Failure::new("GUEST_IMAGE_NOT_FOUND", ExitCode::GUEST_NOT_FOUND, problem, advice)
    };
    let named = |image: &&ImageInfo| image.name == wanted || image.key.starts_with(wanted);
    let mut named = images.iter().filter(named);
    let image = named.next().ok_or_else(|| failure(format!("there is no node image \"{wanted}\"")))?;
    if named.next().is_some() {
        return Err(failure(format!("\"{wanted}\" is the beginning of more than one key")));
    }
    Ok(host.driver.remove_image(&image.key).await?)
}
