//! The role `load-balancer`: addresses for services of type LoadBalancer, from the top of the nodes' subnet.
//!
//! One instance runs on each node. `service` is what it sees of a Service; `ledger` decides who gets which
//! address and `election` which node answers for it, both purely and alike on every node, so that nobody has
//! to be asked; `peers` finds out which nodes are alive; `status` writes what was decided; `interface` puts
//! addresses on the node's network interface, where kube-proxy's rules take over; `work` ties them together.
//! A service's status is the only record: whoever starts anew finds all there.

mod election;
mod interface;
mod ledger;
mod metrics;
mod peers;
mod range;
mod service;
mod status;
mod work;

use std::{net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;
use tokio::task::JoinSet;

use self::{
    interface::Interface,
    metrics::LoadBalancerMetrics,
    peers::Peers,
    status::StatusWriter,
    work::{Settings, Work},
};
use crate::{
    Error,
    api::{self, Access},
    http,
    listen::Listen,
    runtime,
};

/// The class of services that are served beside those of no class.
pub(crate) const CLASS: &str = "skiff.dev/load-balancer";

/// The port of the health server, by which the instances also see that the others are alive.
const HEALTH_PORT: u16 = 10061;

/// Give LoadBalancer services addresses of the nodes' subnet.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoadBalancerArgs {
    /// The name of the node that this instance runs on.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,
    /// The node's own address; the interface that has it gets the others.
    #[arg(long, env = "NODE_IP", value_name = "IP")]
    node_ip: Ipv4Addr,
    /// The addresses to hand out; the last quarter of the node's subnet unless given, or if empty.
    #[arg(long, value_name = "CIDR", default_value = "", value_parser = parse_range)]
    range: Range,
    /// Where to serve /health, /ready and /metrics. The port is 10061 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    #[command(flatten)]
    access: Access,
}

/// What `--range` says.
#[derive(Clone, Copy, Debug)]
enum Range {
    LastQuarter,
    Net(Ipv4Net),
}

fn parse_range(text: &str) -> Result<Range, String> {
    match text {
        "" => Ok(Range::LastQuarter),
        text => text.parse().map(Range::Net).map_err(|_| "expected a network such as 192.0.2.192/26".to_owned()),
    }
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: LoadBalancerArgs) -> Result<(), Error> {
    runtime::block_on(serve(args))
}

async fn serve(args: LoadBalancerArgs) -> Result<(), Error> {
    let metrics = Arc::new(LoadBalancerMetrics::default());
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let interface = Arc::new(Interface::open(args.node_ip).await?);
    let range = match args.range {
        Range::Net(net) => net.trunc(),
        Range::LastQuarter => range::of_subnet(interface.subnet()),
    };
    tracing::info!(node = args.node, subnet = %interface.subnet(), %range, "addresses for LoadBalancer services");
    let mut tasks = JoinSet::new();
    tasks.spawn(http::serve(health, Arc::clone(&metrics) as Arc<dyn http::Probe>));
    let work = async {
        let client = api::connect(&args.access).await?;
        let settings = Settings { node: args.node.clone(), node_ip: args.node_ip, range };
        let peers = Peers::new(args.node.clone(), HEALTH_PORT);
        let status = StatusWriter::new(client.clone(), args.node.clone(), Arc::clone(&metrics));
        let work = Work::new(settings, Arc::clone(&interface), peers, status, metrics);
        tasks.spawn(work.run(client));
        // Both tasks are there for ever; the first to end has failed.
        tasks.join_next().await;
        Err(Error::TaskEnded)
    };
    let result = runtime::until_told_to_end(work).await;
    tasks.shutdown().await;
    // Another node takes over, or nobody shall answer any more; what was begun goes on by kube-proxy's rules.
    interface.keep_only(range, &[].into()).await;
    result
}
