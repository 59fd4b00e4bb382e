//! `skiff version`.

use serde::Serialize;
use skiff_report::ExitCode;

use super::DataFormat;
use crate::{context::print, failure::Failure};

/// Prints the version of skiff.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<DataFormat>,
    /// Print the version and nothing else.
    #[arg(long)]
    short: bool,
    /// Also print the versions of Kubernetes that this skiff starts.
    #[arg(long)]
    components: bool,
}

/// What is printed with `-o`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    skiff_version: String,
    commit: &'static str,
    #[serde(flatten)]
    components: Option<Components>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    kubernetes_default: String,
    kubernetes_oldest: String,
    kubernetes_newest: String,
    os: &'static str,
    arch: &'static str,
}

impl Components {
    fn new() -> Self {
        use skiff_config::versions;
        Self {
            kubernetes_default: versions::DEFAULT.to_string(),
            kubernetes_oldest: versions::OLDEST.to_string(),
            kubernetes_newest: format!("v1.{}", versions::NEWEST_MINOR),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        }
    }
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let versions = Versions {
            skiff_version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
            // Set by release builds; a build from a working copy has none.
            commit: option_env!("SKIFF_COMMIT").unwrap_or_default(),
            components: self.components.then(Components::new),
        };
        print(&match self.output {
            Some(format) => format.render(&versions)?,
            None => self.text(&versions),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, versions: &Versions) -> String {
        if self.short {
            return format!("{}\n", versions.skiff_version);
        }
        let mut text = format!("skiff version: {}\n", versions.skiff_version);
        if !versions.commit.is_empty() {
            text += &format!("commit: {}\n", versions.commit);
        }
        if let Some(parts) = &versions.components {
            text += &format!(
                "\nkubernetes (default): {}\nkubernetes (oldest): {}\nkubernetes (newest): {}\nplatform: {}/{}\n",
                parts.kubernetes_default, parts.kubernetes_oldest, parts.kubernetes_newest, parts.os, parts.arch
            );
        }
        text
    }
}
