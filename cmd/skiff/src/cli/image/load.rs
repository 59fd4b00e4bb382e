//! `skiff image load`.

use std::time::Duration;

use skiff_report::ExitCode;
use skiff_runner::{Command, RunError};

use super::{connect, nodes, source::Source};
use crate::{context::Context, failure::Failure};

/// How long one image may take to get into one node.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Loads images into every node of a cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Image of the local Docker, tar file, folder in OCI layout, or `-` for a tar on standard input.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Take images from the local Docker, even if there is a file of that name.
    #[arg(long)]
    daemon: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let host = context.host_in_use("skiff image load").await?;
        let nodes = nodes(context, &host)?;
        let sources = self.images.iter().map(|image| Source::find(image, self.daemon, nodes.len()));
        for source in sources.collect::<Result<Vec<_>, _>>()? {
            for node in &nodes {
                let runner = connect(context, &host, node).await?;
                let (input, program) = source.open()?;
                // The default of ctr is to keep an image's layers packed beside the unpacked ones.
                let import = Command::new(["ctr", "--namespace", "k8s.io", "images", "import", "-"]).timeout(LIMIT);
                let output = runner.stream(import, input).await?;
                program.finish(&source).await?;
                if output.status != 0 {
                    let why = RunError::Status { command: "ctr images import".to_owned(), output: Box::new(output) };
                    return Err(refused(&source, node.as_str(), why));
                }
                context.ui.info(&format!("Loaded {source} into {node}"));
            }
        }
        Ok(())
    }
}

fn refused(source: &Source, node: &str, why: RunError) -> Failure {
    Failure::new(
        "GUEST_IMAGE_LOAD",
        ExitCode::GUEST_ERROR,
        format!("node {node} cannot take {source}: {}", Failure::from(why).full_message()),
        "Check that it is an image saved by `docker save`, or in OCI layout, for this host's architecture.",
    )
}
