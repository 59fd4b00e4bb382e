//! `skiff export`.

use std::path::PathBuf;

use clap::Subcommand;
use skiff_cluster::export_logs;
use skiff_report::ExitCode;

use crate::{
    context::{Context, print_line},
    failure::Failure,
};

/// Writes things of a cluster into files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Logs(LogsArgs),
}

/// Writes all logs of a cluster into a folder, a tree a node, without tokens, keys and passwords.
#[derive(Debug, clap::Args)]
struct LogsArgs {
    /// The folder; a new one among temporary files if not given.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let What::Logs(LogsArgs { folder }) = self.what;
        let host = context.host("skiff export logs").await?;
        let folder = match folder {
            Some(folder) => folder,
            None => new_folder(context)?,
        };
        context.ui.info(&format!("Exporting logs of cluster \"{}\"", context.cluster));
        let report = export_logs(&host, &context.cluster, &folder).await?;
        for sentence in &report.missing {
            context.ui.warn(sentence);
        }
        // Alone on its line, so that scripts can take it.
        print_line(&folder.display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn new_folder(context: &Context) -> Result<PathBuf, Failure> {
    let folder = tempfile::Builder::new().prefix(&format!("skiff-{}-", context.cluster)).tempdir();
    folder.map(tempfile::TempDir::keep).map_err(|error| {
        Failure::new(
            "HOST_FILE",
            ExitCode::HOST_ERROR,
            format!("cannot make a temporary folder: {error}"),
            "Name a folder: `skiff export logs DIR`.",
        )
    })
}
