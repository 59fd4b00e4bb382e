//! `skiff node` and the ways into nodes: one file a verb.

mod add;
mod delete;
mod list;
mod login;
mod power;

use std::{sync::Arc, time::Duration};

use clap::Subcommand;
use skiff_cluster::{StartOptions, WaitFor};
use skiff_config::ClusterName;
use skiff_report::{ExitCode, Reporter};

pub(crate) use self::login::{IpArgs, SshArgs, SshKeyArgs};
pub(super) use self::login::{become_program, ssh};
use crate::{context::Context, failure::Failure, journal::Journal, wiring::SkiffHost};

/// Adds, deletes, starts, stops and lists the nodes of a cluster.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(add::Args),
    Delete(delete::Args),
    Start(power::StartArgs),
    Stop(power::StopArgs),
    List(list::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::Add(args) => args.run(context).await,
            Verb::Delete(args) => args.run(context).await,
            Verb::Start(args) => args.run(context).await,
            Verb::Stop(args) => args.run(context).await,
            Verb::List(args) => args.run(context),
        }
    }
}

/// The host of a cluster that exists, with what happens written into the cluster's log of events.
async fn recorded_host(context: &Context, command: &str) -> Result<(SkiffHost, Arc<Journal>), Failure> {
    let mut host = context.host_in_use(command).await?;
    let journal = Arc::new(context.journal(&context.cluster)?);
    host.reporter = Arc::clone(&journal) as Arc<dyn Reporter>;
    Ok((host, journal))
}

/// What a node has to be before a command that starts it ends.
fn options(wait_timeout: Duration, keep: bool) -> StartOptions {
    StartOptions { wait: vec![WaitFor::ApiServer, WaitFor::NodeReady], wait_timeout, keep, ..StartOptions::default() }
}

/// A node's name without its cluster's, as messages about nodes give it.
fn short<'a>(cluster: &ClusterName, node: &'a str) -> &'a str {
    node.strip_prefix(cluster.as_str()).and_then(|rest| rest.strip_prefix('-')).unwrap_or(node)
}
