//! skiff-agent: what runs inside a skiff cluster, one role for each subcommand.

mod address;
mod api;
mod cli;
mod dns;
mod docker_info;
mod endpoint;
mod error;
mod forward;
mod http;
mod ingress;
mod ingress_dns;
mod listen;
mod load_balancer;
mod lookup;
#[cfg(test)]
mod manifests;
mod metrics;
mod metrics_server;
mod relay;
mod resolv;
mod routes;
mod runtime;
mod storage;
mod wire;

use error::Error;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
