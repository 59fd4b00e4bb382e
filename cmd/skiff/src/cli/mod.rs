//! The command line: one file a verb.

mod addons;
mod apply;
mod attend;
mod auto_pause;
mod behind;
mod completion;
mod config;
mod delete;
mod doctor;
mod drivers;
mod duration;
mod export;
mod gc;
mod image;
mod kubectl;
mod logs;
mod machine;
mod node;
mod node_image;
mod output;
mod pause;
mod profile;
mod service;
mod snapshot;
mod spec;
mod start;
mod status;
mod stop;
mod tree;
mod tunnel;
mod update_context;
mod upgrade;
mod version;

use std::ffi::OsString;

use clap::{FromArgMatches, Parser, Subcommand};
use skiff_drivers::MachineWishes;
use skiff_report::ExitCode;

pub(crate) use self::addons::catalog;
pub(crate) use self::doctor::proxies;
pub(crate) use self::output::{DataFormat, EventFormat};
pub(crate) use self::tree::{check_setting, command, setting_keys, spec_defaults, verb_of};
use crate::{context::Context, failure::Failure, settings::Settings, ui::Mode, wiring::ATTEND};

/// Local Kubernetes clusters in seconds.
#[derive(Debug, Parser)]
#[command(name = "skiff", version, about, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "Every flag can also be set as SKIFF_<FLAG> in the environment (SKIFF_MEMORY=4g), and those of \
                          `start` with `skiff config set` too. A flag wins over the environment, which wins over the \
                          configuration file.";

/// Flags of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Name of the cluster.
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) profile: Option<String>,
    /// How much to log on standard error: 0 nothing, 1 warnings, 2 notes, 3 details, 4 everything.
    #[arg(short, long, global = true, value_name = "LEVEL", default_value = "0", hide_default_value = true)]
    #[arg(help_heading = "Global options")]
    verbosity: u8,
    /// What minikube calls it; scripts say so.
    #[arg(long, global = true, hide = true, alias = "logtostderr")]
    alsologtostderr: bool,
}

impl Global {
    /// How much to log on standard error.
    pub(crate) fn verbosity(&self) -> u8 {
        if self.alsologtostderr { self.verbosity.max(2) } else { self.verbosity }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Start(Box<start::Args>),
    Stop(stop::Args),
    Upgrade(upgrade::Args),
    Delete(delete::Args),
    Pause(pause::Args),
    #[command(visible_alias = "resume")]
    Unpause(pause::UnpauseArgs),
    Snapshot(snapshot::Args),
    Gc(gc::Args),
    Apply(apply::Args),
    Get(apply::GetArgs),
    Status(status::Args),
    Profile(profile::Args),
    Node(node::Args),
    Ip(node::IpArgs),
    Service(service::Args),
    Tunnel(tunnel::Args),
    Ssh(node::SshArgs),
    SshKey(node::SshKeyArgs),
    Kubectl(kubectl::Args),
    Logs(logs::Args),
    Export(export::Args),
    Image(image::Args),
    NodeImage(node_image::Args),
    Doctor(doctor::Args),
    Drivers(drivers::Args),
    UpdateContext(update_context::Args),
    Addons(addons::Args),
    Config(config::Args),
    Completion(completion::Args),
    Version(version::Args),
    #[command(name = ATTEND, hide = true)]
    AttendMachine(attend::Args),
    #[command(name = auto_pause::VERB, hide = true)]
    AttendCluster(auto_pause::Args),
}

impl Cli {
    /// Reads a command line.
    pub(crate) fn parse(tree: clap::Command, args: &[OsString]) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&tree.try_get_matches_from(args)?)
    }
}

impl Command {
    /// How the command's events are to be shown; `live` if a terminal is there.
    pub(crate) fn mode(&self, live: bool) -> Mode {
        match (self.wants_json_events(), live) {
            (true, _) => Mode::Json,
            (false, true) => Mode::Terminal,
            (false, false) => Mode::Plain,
        }
    }

    fn wants_json_events(&self) -> bool {
        let output = match self {
            Self::Start(args) => args.output,
            Self::Stop(args) => args.output,
            Self::Delete(args) => args.output,
            Self::Apply(args) => args.output,
            Self::Pause(args) => args.output,
            Self::Unpause(args) => args.output,
            Self::Snapshot(args) => args.events(),
            _ => EventFormat::Text,
        };
        output == EventFormat::Json
    }

    /// Wishes for the virtual machines that the command makes.
    pub(crate) fn machine_wishes(&self) -> MachineWishes {
        match self {
            Self::Start(args) => args.machines.wishes(),
            _ => MachineWishes::default(),
        }
    }

    /// Adds what else is wrong with the command to a failure, where it is known before it runs.
    pub(crate) fn with_problems(&self, failure: Failure, settings: &Settings) -> Failure {
        match self {
            Self::Start(args) => args.with_problems(failure, settings),
            _ => failure,
        }
    }

    /// True if the command is there to repair the settings, or has no use for them.
    pub(crate) fn works_without_settings(&self) -> bool {
        matches!(self, Self::AttendMachine(_) | Self::Completion(_) | Self::Config(_) | Self::Version(_))
    }

    /// Runs the command. All but `start`, which undoes itself, are simply dropped by Ctrl-C.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let interrupt = &context.interrupt;
        match self {
            Self::Start(args) => args.run(context).await,
            Self::Stop(args) => interrupt.unless(args.run(context)).await,
            // It is a start.
            Self::Upgrade(args) => args.run(context).await,
            Self::Delete(args) => interrupt.unless(args.run(context)).await,
            Self::Pause(args) => interrupt.unless(args.run(context)).await,
            Self::Unpause(args) => interrupt.unless(args.run(context)).await,
            Self::Apply(args) => args.run(context).await,
            Self::Get(args) => args.run(context),
            Self::Snapshot(args) => interrupt.unless(args.run(context)).await,
            Self::Gc(args) => interrupt.unless(args.run(context)).await,
            Self::Status(args) => interrupt.unless(args.run(context)).await,
            Self::Profile(args) => interrupt.unless(args.run(context)).await,
            Self::Node(args) => interrupt.unless(args.run(context)).await,
            Self::Ip(args) => interrupt.unless(args.run(context)).await,
            // Both end well by Ctrl-C.
            Self::Service(args) => args.run(context).await,
            Self::Tunnel(args) => args.run(context).await,
            Self::Ssh(args) => interrupt.unless(args.run(context)).await,
            Self::SshKey(args) => args.run(context),
            Self::Kubectl(args) => interrupt.unless(args.run(context)).await,
            Self::Logs(args) => interrupt.unless(args.run(context)).await,
            Self::Export(args) => interrupt.unless(args.run(context)).await,
            Self::Image(args) => interrupt.unless(args.run(context)).await,
            Self::NodeImage(args) => interrupt.unless(args.run(context)).await,
            Self::Doctor(args) => interrupt.unless(args.run(context)).await,
            Self::Drivers(args) => interrupt.unless(args.run(context)).await,
            Self::UpdateContext(args) => interrupt.unless(args.run(context)).await,
            Self::Addons(args) => interrupt.unless(args.run(context)).await,
            Self::Config(args) => args.run(context),
            Self::Completion(args) => args.run(),
            Self::Version(args) => args.run(),
            Self::AttendMachine(args) => args.run().await,
            Self::AttendCluster(args) => interrupt.unless(args.run(context)).await,
        }
    }
}
