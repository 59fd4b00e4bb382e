//! The command line: one subcommand for each role.

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    Error, api, dns, docker_info, endpoint, forward, ingress, ingress_dns, load_balancer, lookup, metrics_server,
    relay, routes, storage,
};

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
    /// Route HTTP and TLS by host and path
    Ingress(ingress::IngressArgs),
    /// Provision node-local volumes
    Storage(storage::StorageArgs),
    /// Give LoadBalancer services addresses of the nodes' subnet
    LoadBalancer(load_balancer::LoadBalancerArgs),
    /// Answer for the hosts of all Ingresses, to resolvers outside the cluster
    IngressDns(ingress_dns::IngressDnsArgs),
    /// Serve the metrics API
    MetricsServer(metrics_server::MetricsServerArgs),
    /// Keep routes to the pods of other nodes
    Routes(routes::RoutesArgs),
    /// Pass connections on to an API server that lives
    Endpoint(endpoint::EndpointArgs),
    /// Pass connections on to a service
    Forward(forward::ForwardArgs),
    /// Pass standard input and output on to an address of the cluster's network
    Relay(relay::RelayArgs),
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
    log_to_stderr(cli.log_level);
    match dispatch(cli.role) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skiff-agent: {}", api::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Sets up the log. The API client reports each failed request, which our own lines repeat with more sense,
/// and the DNS library each odd packet, which anybody may send; both are for those who look closely.
fn log_to_stderr(level: LevelFilter) {
    let libraries = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let filter =
        Targets::new().with_default(level).with_targets([("kube_client", libraries), ("hickory_proto", libraries)]);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

fn dispatch(role: Role) -> Result<ExitCode, Error> {
    match role {
        Role::Dns(args) => dns::run(args).map(|()| ExitCode::SUCCESS),
        Role::Ingress(args) => ingress::run(args).map(|()| ExitCode::SUCCESS),
        Role::Storage(args) => storage::run(args).map(|()| ExitCode::SUCCESS),
        Role::LoadBalancer(args) => load_balancer::run(args).map(|()| ExitCode::SUCCESS),
        Role::IngressDns(args) => ingress_dns::run(args).map(|()| ExitCode::SUCCESS),
        Role::MetricsServer(args) => metrics_server::run(args).map(|()| ExitCode::SUCCESS),
        Role::Routes(args) => routes::run(args).map(|()| ExitCode::SUCCESS),
        Role::Endpoint(args) => endpoint::run(args).map(|()| ExitCode::SUCCESS),
        Role::Forward(args) => forward::run(args).map(|()| ExitCode::SUCCESS),
        Role::Relay(args) => relay::run(&args).map(|()| ExitCode::SUCCESS),
        Role::Lookup(args) => lookup::run(&args, &mut std::io::stdout().lock()),
        Role::DockerInfo(args) => docker_info::run(&args).map(|()| ExitCode::SUCCESS),
    }
}

/// Whether the arguments of a container make sense, which the tests of the manifests ask.
#[cfg(test)]
pub(crate) fn check(args: &[String]) -> Result<(), clap::Error> {
    Cli::try_parse_from(std::iter::once("skiff-agent").chain(args.iter().map(String::as_str))).map(drop)
}
