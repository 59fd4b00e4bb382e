//! `skiff addons status`.

use serde::Serialize;
use skiff_cluster::{AddonState, addon_states};
use skiff_report::ExitCode;

use super::disable::unsupported;
use crate::{
    cli::output::{ListFormat, json},
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// Asks the cluster how addons are doing: those named, or all that are enabled.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The addons.
    #[arg(value_name = "ADDON")]
    names: Vec<String>,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_in_use("skiff addons status").await?;
        let states = addon_states(&host, &context.cluster, &self.names).await;
        let states = states.map_err(|error| unsupported(error.into()))?;
        if self.output == ListFormat::Json {
            let states: Vec<State<'_>> = states.iter().map(State::from).collect();
            print(&json(&states)?)?;
        } else {
            let yes = |yes: bool| if yes { "enabled" } else { "disabled" }.to_owned();
            let rows =
                states.iter().map(|it| [it.name.clone(), yes(it.enabled), it.state.to_owned(), it.message.clone()]);
            print_line(&table(["Addon Name", "Status", "State", "Message"], rows).to_string())?;
        }
        // Like `skiff status`: an answer in words, and one for scripts.
        let well = states.iter().all(|it| !it.enabled || it.state == "Running");
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State<'a> {
    name: &'a str,
    status: &'static str,
    state: &'static str,
    message: &'a str,
}

impl<'a> From<&'a AddonState> for State<'a> {
    fn from(state: &'a AddonState) -> Self {
        Self {
            name: &state.name,
            status: if state.enabled { "enabled" } else { "disabled" },
            state: state.state,
            message: &state.message,
        }
    }
}
