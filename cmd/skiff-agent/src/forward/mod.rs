//! The role `forward`: a port of each node that leads to a service of the cluster.
//!
//! `target` finds out where the service is; connections are passed on as they are.

mod target;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use self::target::{Service, Target};
use crate::{
    Error,
    api::Backoff,
    http,
    listen::Listen,
    metrics::{Counter, Page},
    runtime,
};

/// The port of the health server.
const HEALTH_PORT: u16 = 10058;
/// How long the service may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// More connections than this at a time wait for their turn.
const MAX_CONNECTIONS: usize = 1024;

/// Pass connections on to a service.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ForwardArgs {
    /// Where to listen; may be repeated.
    #[arg(long, value_name = "IP:PORT", required = true)]
    listen: Vec<SocketAddr>,
    /// The service to pass connections on to.
    #[arg(long, value_name = "NAME:PORT")]
    to: Service,
    /// The cluster's name server. The port is 53 unless given.
    #[arg(long, value_name = "IP[:PORT]")]
    dns: Listen,
    /// Where to serve /health, /ready, /metrics and /drain. The port is 10058 unless given.
    #[arg(long, value_name = "IP[:PORT]", default_value = "::")]
    health_listen: Listen,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: ForwardArgs) -> Result<(), Error> {
    runtime::block_on(runtime::until_told_to_end(serve(args)))
}

async fn serve(args: ForwardArgs) -> Result<(), Error> {
    let health = http::bind(args.health_listen.or_port(HEALTH_PORT)).await?;
    let forward = Arc::new(Forward::new(Target::new(args.to, args.dns.or_port(53))));
    let mut tasks = JoinSet::new();
    for address in args.listen {
        let listener = http::bind(address).await?;
        tasks.spawn(Arc::clone(&forward).listen(listener));
    }
    tokio::spawn(Arc::clone(&forward).try_until_reached());
    tasks.spawn(http::serve(health, forward));
    // All tasks are there for ever; the first to end has failed.
    tasks.join_next().await;
    Err(Error::TaskEnded)
}

/// What connections share.
struct Forward {
    target: Target,
    room: Arc<Semaphore>,
    reached: AtomicBool,
    passed_on: Counter,
    failed: Counter,
}

impl Forward {
    fn new(target: Target) -> Self {
        Self {
            target,
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            reached: AtomicBool::new(false),
            passed_on: Counter::default(),
            failed: Counter::default(),
        }
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((client, peer)) => {
                    let this = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = this.pass_on(client).await {
                            this.failed.add();
                            tracing::warn!(%peer, %error, "cannot pass a connection on");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = self.connect().await?;
        self.passed_on.add();
        // A connection that does not want it works without it.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%error, "connection ended");
        }
        Ok(())
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let address = self.target.address().await?;
        let connected = timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        let server = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).and_then(|server| server);
        match server {
            Ok(server) => {
                if !self.reached.swap(true, Ordering::Relaxed) {
                    tracing::info!(%address, "reached");
                }
                Ok(server)
            }
            Err(error) => {
                // A service that was made anew has another address.
                self.target.forget();
                Err(error)
            }
        }
    }

    /// Connects once without being asked: then it is known that the way is open.
    async fn try_until_reached(self: Arc<Self>) {
        for wait in Backoff::default() {
            match self.connect().await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "not reached yet"),
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl http::Probe for Forward {
    fn is_ready(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        page.counter(
            "skiff_forward_connections_total",
            "Connections that were passed on.",
            &[("result=\"ok\"", self.passed_on.get()), ("result=\"failed\"", self.failed.get())],
        );
        page.finish()
    }
}
