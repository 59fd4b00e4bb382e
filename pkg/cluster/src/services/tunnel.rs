//! The tunnel: listeners of this host for all services of type LoadBalancer, as they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use skiff_config::ClusterName;
use skiff_driver::Driver;
use skiff_kubeapi::ServiceInfo;
use skiff_report::{Reporter, chain};
use skiff_store::{Lock, TunnelTrace};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    Forward, Protocol, ServiceApi, ServiceError,
    bind::{bind, why},
    forward::Target,
    listeners::{self, Plan, Wanted},
    reach::{LOOK, Reach, reach, running},
};
use crate::{Api, ClusterError, ConnectApi, Host};

/// What services get as their address that are brought to this host, as minikube writes it.
const ADDRESS: &str = "127.0.0.1";
/// An API server that takes longer to answer than this may be gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a tunnel that was asked to end may take to clean up.
const ENDING: Duration = Duration::from_secs(8);

/// How to tunnel.
#[derive(Debug, Clone)]
pub struct TunnelOptions {
    /// The address of this host to listen at.
    pub bind: IpAddr,
    /// Whether to clear what a tunnel left that was killed.
    pub cleanup: bool,
}

/// Brings services of type LoadBalancer to this host until `stop` is done, and cleans up.
///
/// # Errors
/// When the cluster does not run, another tunnel does, the address is not this host's, or the cluster goes away.
pub async fn tunnel<D: Driver, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    options: TunnelOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), ClusterError> {
    host.load(name)?;
    let lock = lock(host, name)?;
    let mut stop = std::pin::pin!(stop);
    let reach = tokio::select! {
        reach = reach(host, name) => reach?,
        () = &mut stop => return Ok(()),
    };
    // An address that is not to be had is told at once, and not with the first service.
    drop(bind(Protocol::Tcp, options.bind, 0).await?);
    if options.cleanup {
        clear(&reach.api).await;
    }
    let mut tunnel = Tunnel::new(reach, options.bind, Arc::clone(&host.reporter));
    host.reporter.info("Tunnel started: keep this command running; Ctrl-C ends it");
    let result = tokio::select! {
        result = tunnel.run(host, name) => result,
        () = &mut stop => Ok(()),
    };
    // A cluster that is away can keep nothing in order; the next tunnel or stop does it then.
    if result.is_ok() {
        tunnel.clean_up().await;
    }
    drop(lock);
    result
}

fn lock<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<Lock, ClusterError> {
    host.store.lock_tunnel(name, &host.command)?.map_err(|owner| {
        let pid = owner.map(|owner| owner.pid);
        ServiceError::TunnelRuns { cluster: name.clone(), pid }.into()
    })
}

/// Ends the tunnel of a cluster, if one runs. Whatever fails here must not keep the cluster from being stopped.
pub(crate) async fn end_tunnel<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) {
    if let TunnelTrace::Runs(owner) = host.store.tunnel(name) {
        host.reporter.info(&format!("Ending the tunnel of cluster `{name}`"));
        if let Some(owner) = owner {
            owner.terminate();
        }
        let end = Instant::now() + ENDING;
        while matches!(host.store.tunnel(name), TunnelTrace::Runs(_)) && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
        }
    }
    host.store.forget_tunnel(name);
}

/// Clears what a tunnel left in a cluster that still runs.
pub(crate) async fn clear_left_by_tunnel<D: Driver, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) {
    if host.store.tunnel(name) == TunnelTrace::Left
        && let Ok(reach) = reach(host, name).await
    {
        clear(&reach.api).await;
    }
}

/// Takes out the addresses that a tunnel wrote: its own are never anybody else's.
async fn clear<A: ServiceApi>(api: &A) {
    let Ok(services) = api.services(None).await else { return };
    for service in services.iter().filter(|service| has_ours(service)) {
        // Whoever can list services can write them; a server that dies just now has no use for it.
        let _ = api.set_address(&service.namespace, &service.name, None).await;
    }
}

fn has_ours(service: &ServiceInfo) -> bool {
    matches!(service.addresses.as_slice(), [one] if one == ADDRESS)
}

/// A running tunnel.
struct Tunnel<A> {
    api: A,
    /// Whether services get this host's address: only where none of their own can be reached.
    writes: bool,
    bind: IpAddr,
    /// The addresses of the nodes.
    nodes: Arc<[IpAddr]>,
    reporter: Arc<dyn Reporter>,
    open: BTreeMap<Wanted, Forward>,
    left_out: BTreeSet<String>,
    /// Whether the API server was silent when it was last asked.
    silent: bool,
}

impl<A: ServiceApi + Api> Tunnel<A> {
    fn new(reach: Reach<A>, bind: IpAddr, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            writes: reach.node.is_none(),
            api: reach.api,
            nodes: reach.nodes,
            bind,
            reporter,
            open: BTreeMap::new(),
            left_out: BTreeSet::new(),
            silent: false,
        }
    }

    /// Works until the cluster goes away.
    async fn run<D: Driver, C, K>(&mut self, host: &Host<D, C, K>, name: &ClusterName) -> Result<(), ClusterError> {
        let (sender, mut services) = mpsc::unbounded_channel();
        let api = self.api.clone();
        let watch = tokio::spawn(async move { api.watch_services(|seen| sender.send(seen.ok()).is_ok()).await });
        // However this future ends, the watch ends with it.
        let _watch = AbortOnDrop(watch.abort_handle());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(seen) = services.recv() => match seen {
                    Some(services) => self.follow(&services).await?,
                    None => self.look(host, name).await?,
                },
                _ = looks.tick() => self.look(host, name).await?,
            }
        }
    }

    /// Sees that the cluster is there. One that only takes its time is waited for.
    async fn look<D: Driver, C, K>(&mut self, host: &Host<D, C, K>, name: &ClusterName) -> Result<(), ClusterError> {
        let answers = self.api.ready(PATIENCE).await.is_ok();
        if !answers {
            let file = host.load(name)?;
            running(host, &file).await?;
            if crate::pause::freezes_api(&host.store, name)? {
                return Err(ClusterError::Paused(name.clone()));
            }
        }
        match (std::mem::replace(&mut self.silent, !answers), answers) {
            (false, false) => self.reporter.warn("the API server does not answer: the tunnel waits for it"),
            (true, true) => self.reporter.info("The API server answers again"),
            _ => {}
        }
        Ok(())
    }

    /// Brings the listeners in step with the services.
    async fn follow(&mut self, services: &[ServiceInfo]) -> Result<(), ClusterError> {
        let plan = listeners::plan(services);
        let gone: Vec<Wanted> = self.open.keys().filter(|open| !plan.listeners.contains(*open)).cloned().collect();
        for wanted in gone {
            if let Some(forward) = self.open.remove(&wanted) {
                self.reporter.info(&format!("{wanted} is gone: {} is closed", forward.local));
            }
        }
        for wanted in &plan.listeners {
            if !self.open.contains_key(wanted) {
                let forward = self.listen(wanted).await?;
                self.open.insert(wanted.clone(), forward);
            }
        }
        for left_out in plan.left_out.difference(&self.left_out) {
            self.reporter.warn(&format!("{left_out} cannot be brought to this host: only TCP and UDP can"));
        }
        self.write_addresses(services, &plan).await;
        self.left_out = plan.left_out;
        Ok(())
    }

    async fn listen(&self, wanted: &Wanted) -> Result<Forward, ClusterError> {
        let bound = bind(wanted.protocol, self.bind, wanted.port).await?;
        let reason = bound.instead.as_ref().map(|error| match self.holder(wanted) {
            Some(holder) => format!(" (not {}: {}/{} is there)", wanted.port, holder.namespace, holder.service),
            None => format!(" (not {}: {})", wanted.port, why(error)),
        });
        let target = Target { wanted: wanted.clone(), nodes: Arc::clone(&self.nodes) };
        let forward = Forward::serve(bound, target, self.api.clone(), Arc::clone(&self.reporter));
        self.reporter.info(&format!("{wanted} is at {}{}", forward.local, reason.unwrap_or_default()));
        Ok(forward)
    }

    /// What of this tunnel is at the port of the host that another service wants.
    fn holder(&self, other: &Wanted) -> Option<&Wanted> {
        let mut open = self.open.iter();
        let held = open.find(|(one, forward)| one.protocol == other.protocol && forward.local.port() == other.port);
        held.map(|(wanted, _)| wanted)
    }

    async fn write_addresses(&self, services: &[ServiceInfo], plan: &Plan) {
        for service in services.iter().filter(|_| self.writes) {
            let key = (service.namespace.clone(), service.name.clone());
            let address = match (plan.services.contains(&key), has_ours(service)) {
                (true, false) => Some(ADDRESS),
                // It is no load balancer any more.
                (false, true) => None,
                _ => continue,
            };
            if let Err(error) = self.api.set_address(&service.namespace, &service.name, address).await {
                self.reporter.warn(&chain(&error));
            }
        }
    }

    /// Closes what is open and takes the addresses back.
    async fn clean_up(&mut self) {
        self.open.clear();
        if self.writes {
            clear(&self.api).await;
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
