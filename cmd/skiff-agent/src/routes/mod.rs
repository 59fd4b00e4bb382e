//! The role `routes`: the way from this node to the pods of all others.
//!
//! One instance runs on each node and follows the API server's nodes. `plan` decides, purely, from what
//! nodes say and what the kernel has; `kernel` changes the kernel's table. Routes carry a mark of
//! their own, so that those of others are never touched, and those of an earlier life are recognised.

mod kernel;
mod plan;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{task::JoinSet, time::Instant};

use self::{
    kernel::Kernel,
    plan::{Change, Peer, Route},
};
use crate::{
    Error,
    api::{self, Access, Backoff, chain},
    http,
    listen::Listen,
    metrics::{Counter, Page},
    runtime,
};

/// The port of the health server.
const HEALTH_PORT: u16 = 10060;
/// How often the kernel is asked for what nobody told of, such as a link that went down and up.
const LOOK: Duration = Duration::from_secs(30);

/// Keep routes to the pods of other nodes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RoutesArgs {
    /// The name of the node that this instance serves.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,
    /// The networks of all pods, one of a family; what a node claims outside of them is passed over.
    #[arg(long, value_name = "CIDR", required = true, value_delimiter = ',')]
    pod_network: Vec<IpNet>,
    /// Where to serve /health, /ready and /metrics. The port is 10060 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
    #[command(flatten)]
    access: Access,
}

/// Runs the role until the process is told to end. The routes stay: pods go on without it.
pub(crate) fn run(args: RoutesArgs) -> Result<(), Error> {
    runtime::block_on(serve(args))
}

async fn serve(args: RoutesArgs) -> Result<(), Error> {
    let kernel = Kernel::open().map_err(Error::Netlink)?;
    let status = Arc::new(Status::default());
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(http::serve(health, Arc::clone(&status) as Arc<dyn http::Probe>));
    let work = async {
        let client = api::connect(&args.access).await?;
        tasks.spawn(follow(client, kernel, args, status));
        // Both tasks are there for ever; the first to end has failed.
        tasks.join_next().await;
        Err(Error::TaskEnded)
    };
    runtime::until_told_to_end(work).await
}

/// Follows the nodes and brings the kernel's table in line after each change. Never returns.
async fn follow(client: Client, kernel: Kernel, args: RoutesArgs, status: Arc<Status>) {
    let nodes = Api::<Node>::all(client);
    let mut events =
        std::pin::pin!(watcher(nodes, watcher::Config::default().any_semantic()).backoff(Backoff::default()));
    let mut known = Nodes::default();
    let mut due: Option<Instant> = None;
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                if known.take_in(event) {
                    due = Some(Instant::now());
                }
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let wanted = plan::wanted(known.peers.values(), &args.node, &args.pod_network);
                due = Some(Instant::now() + match kernel.bring_in_line(&wanted, &args.pod_network, &status).await {
                    Ok(()) => {
                        backoff = Backoff::default();
                        status.in_line.store(true, Ordering::Release);
                        LOOK
                    }
                    Err(error) => {
                        status.failures.add();
                        tracing::warn!(error = %chain(&error), "cannot set routes, will try again");
                        backoff.next().unwrap_or(LOOK)
                    }
                });
            }
        }
    }
}

/// The nodes as the watch tells of them.
#[derive(Default)]
struct Nodes {
    peers: HashMap<String, Peer>,
    /// A list under way, which replaces all when it is complete.
    listing: Option<HashMap<String, Peer>>,
}

impl Nodes {
    /// Takes a watch event in; true if routes may have to change.
    fn take_in(&mut self, event: Result<watcher::Event<Node>, watcher::Error>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.listing = Some(HashMap::new()),
            Ok(watcher::Event::InitApply(node)) => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(node.name_any(), Peer::of(&node));
                }
            }
            Ok(watcher::Event::InitDone) => {
                self.peers = self.listing.take().unwrap_or_default();
                return true;
            }
            Ok(watcher::Event::Apply(node)) => {
                // Nodes report every few seconds; what matters here rarely changes.
                let peer = Peer::of(&node);
                return self.peers.insert(node.name_any(), peer.clone()) != Some(peer);
            }
            Ok(watcher::Event::Delete(node)) => return self.peers.remove(&node.name_any()).is_some(),
            Err(error) => tracing::warn!(error = %chain(&error), "watch failed"),
        }
        false
    }
}

/// What the role tells about itself.
#[derive(Default)]
struct Status {
    in_line: AtomicBool,
    added: Counter,
    removed: Counter,
    failures: Counter,
}

impl Status {
    fn changed(&self, change: &Change) {
        let (verb, route) = match change {
            Change::Set(route) => {
                self.added.add();
                ("set", route)
            }
            Change::Remove(route) => {
                self.removed.add();
                ("removed", route)
            }
        };
        let Route { pods, via } = route;
        tracing::info!(%pods, %via, "route {verb}");
    }
}

impl http::Probe for Status {
    fn is_ready(&self) -> bool {
        self.in_line.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        page.counter(
            "skiff_routes_changes_total",
            "Changes of the kernel's routes.",
            &[
                ("change=\"set\"", self.added.get()),
                ("change=\"remove\"", self.removed.get()),
                ("change=\"failure\"", self.failures.get()),
            ],
        );
        page.gauge("skiff_routes_synced", "Whether all routes were in place once.", u64::from(self.is_ready()));
        page.finish()
    }
}
