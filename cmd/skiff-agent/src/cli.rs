//! The command line: one subcommand for each role.

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::{Error, api, dns, docker_info, lookup, storage};

/// What runs inside a skiff cluster.
#[derive(Debug, Parser)]
#[command(name = "skiff-agent", version)]
struct Cli {
    /// How much to log: off, error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "info", env = "SKIFF_LOG")]
    log_level: LevelFilter,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve cluster DNS
    Dns(dns::DnsArgs),
    /// Provision node-local volumes
    Storage(storage::StorageArgs),
    /// Resolve a name as the C library does, and print its addresses
    Lookup(lookup::LookupArgs),
    /// Answer the few questions that old kubelets ask a Docker daemon
    DockerInfo(docker_info::DockerInfoArgs),
}

/// Runs the role that the arguments name.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    tracing_subscriber::fmt()
        .with_max_level(cli.log_level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    match dispatch(cli.role) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skiff-agent: {}", api::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(role: Role) -> Result<ExitCode, Error> {
    match role {
        Role::Dns(args) => dns::run(args).map(|()| ExitCode::SUCCESS),
        Role::Storage(args) => storage::run(args).map(|()| ExitCode::SUCCESS),
        Role::Lookup(args) => lookup::run(&args, &mut std::io::stdout().lock()),
        Role::DockerInfo(args) => docker_info::run(&args).map(|()| ExitCode::SUCCESS),
    }
}
