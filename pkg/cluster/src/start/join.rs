//! Nodes beside the first one: from a running machine to a part of the cluster.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use skiff_bootstrap::kubeadm::{self, EtcdStart};
use skiff_config::NodeRecord;
use skiff_driver::{Driver, NodeImages};
use skiff_runner::{Command, Connect, Runner};

use super::{
    Run,
    boot::Boot,
    fleet::{Fleet, Member},
    plan::Wanted,
    provision::phase,
};
use crate::{
    Api, ClusterError, ConnectApi, ImageSource, access,
    host::api_error,
    node_spec::{self, CONTROL_PLANES},
    nodes,
};

/// Pause between two rounds through the control planes that might take a new one in.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a node that runs may take to let skiff in.
const PEER_PATIENCE: Duration = Duration::from_secs(5);

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Starts the kubelet of a worker as soon as there is somebody it can register with.
    pub(super) async fn boot_worker(&self, boot: &Boot<'_, K::Api>, member: &Member) -> Result<(), ClusterError> {
        let Boot { fleet, wanted, api, serving } = *boot;
        let (config, node) = (&fleet.identity.config, &member.plan.config);
        if !member.needs_kubeadm() {
            // The control planes may be others since it ran last.
            if config.control_planes > 1 || member.started.is_some() {
                let runner = self.connect(wanted, member).await?;
                let servers: Vec<Ipv4Addr> = nodes::control_planes(&wanted.file).map(|record| record.address).collect();
                tell_control_planes(&runner, &servers, config.spec.apiserver.port).await?;
            }
            return Ok(());
        }
        let runner = self.connect(wanted, member).await?;
        serving.opened().await;
        let join = kubeadm::join_worker(&runner, config, node);
        self.log(config, self.watch.time(&phase("kubeadm/join", member), join).await)?;
        self.register(fleet, member, api, &runner).await
    }

    /// Starts a further control plane: etcd at once, the rest when there is an API server already, whose
    /// start it must not hold up.
    pub(super) async fn boot_control_plane(
        &self,
        boot: &Boot<'_, K::Api>,
        member: &Member,
    ) -> Result<(), ClusterError> {
        let Boot { fleet, wanted, api, serving } = *boot;
        if !member.needs_kubeadm() {
            return Ok(());
        }
        let (config, node) = (&fleet.identity.config, &member.plan.config);
        let runner = self.connect(wanted, member).await?;
        let etcd = self.etcd_start(fleet, member, wanted, &runner).await?;
        let join = kubeadm::join_etcd(&runner, config, node, &etcd);
        self.log(config, self.watch.time(&phase("kubeadm/etcd", member), join).await)?;
        serving.opened().await;
        if !fleet.fresh {
            self.take_turns(fleet, member, wanted).await?;
        }
        self.log(config, kubeadm::start_api_server(&runner, config, node).await)?;
        let own = self.own_api(wanted, member)?;
        let ready = own.ready(fleet.patience(Some(member)));
        self.watch.time(&phase("api/ready", member), ready).await.map_err(api_error)?;
        let finish = async {
            let finish = kubeadm::join_control_plane(&runner, config, node);
            self.log(config, self.watch.time(&phase("kubeadm/finish", member), finish).await)
        };
        tokio::try_join!(finish, self.register(fleet, member, api, &runner))?;
        Ok(())
    }

    /// What a node's kubelet does not do for itself once it is known.
    async fn register(
        &self,
        fleet: &Fleet,
        member: &Member,
        api: &K::Api,
        runner: &C::Runner,
    ) -> Result<(), ClusterError> {
        self.pod_cidr(fleet, member, api).await?;
        self.log(&fleet.identity.config, kubeadm::announce(runner, &member.plan.config).await)
    }

    /// The API server of one node.
    fn own_api(&self, wanted: &Wanted, member: &Member) -> Result<K::Api, ClusterError> {
        let name = &wanted.spec.name;
        let record = nodes::record(&wanted.file, Some(member.name().as_str()))?;
        let access = access::access(&self.host.store, name, wanted.spec.listen_address, record)?;
        let access = access.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
        self.host.api.client(&access).map_err(api_error)
    }

    /// With whom a control plane's etcd begins.
    pub(super) async fn etcd_start(
        &self,
        fleet: &Fleet,
        member: &Member,
        wanted: &Wanted,
        runner: &C::Runner,
    ) -> Result<EtcdStart, ClusterError> {
        let others: Vec<&NodeRecord> =
            nodes::control_planes(&wanted.file).filter(|record| record.name != *member.name()).collect();
        if others.is_empty() {
            return Ok(EtcdStart::Alone);
        }
        if fleet.fresh {
            let founders = fleet.members.iter().filter(|member| member.role().is_control_plane());
            return Ok(EtcdStart::Founding(founders.map(Member::etcd).collect()));
        }
        if kubeadm::has_etcd_data(runner).await? {
            return Ok(EtcdStart::Alone);
        }
        let join = self.join_etcd(fleet, member, wanted, &others);
        self.watch.time(&phase("etcd/member", member), join).await
    }

    /// Has another control plane take this one's etcd in: whichever answers first.
    async fn join_etcd(
        &self,
        fleet: &Fleet,
        member: &Member,
        wanted: &Wanted,
        others: &[&NodeRecord],
    ) -> Result<EtcdStart, ClusterError> {
        let deadline = Instant::now() + fleet.patience(Some(member));
        loop {
            let mut trouble = None;
            for other in others {
                let peer = nodes::connect(self.host, &wanted.spec.name, &other.name, PEER_PATIENCE).await;
                let added = match peer {
                    Ok(peer) => kubeadm::add_member(&peer, &member.etcd(), PEER_PATIENCE).await.map_err(Into::into),
                    Err(error) => Err(error),
                };
                match added {
                    Ok(start) => return Ok(start),
                    Err(error) => trouble = Some(error),
                }
            }
            match trouble {
                Some(error) if Instant::now() >= deadline => return Err(error),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Managers of a control plane that was alone must learn to take turns before there are others.
    async fn take_turns(&self, fleet: &Fleet, member: &Member, wanted: &Wanted) -> Result<(), ClusterError> {
        let others: Vec<_> = nodes::control_planes(&wanted.file).filter(|one| one.name != *member.name()).collect();
        let [other] = others.as_slice() else { return Ok(()) };
        let runner = nodes::connect(self.host, &wanted.spec.name, &other.name, PEER_PATIENCE).await?;
        let config = node_spec::node_config(&fleet.identity.config.spec, other, &self.capabilities)?;
        self.log(&fleet.identity.config, kubeadm::take_turns(&runner, &fleet.identity.config, &config).await)
    }
}

/// Tells a worker where API servers are.
pub(crate) async fn tell_control_planes<R: Runner>(
    runner: &R,
    servers: &[Ipv4Addr],
    port: u16,
) -> Result<(), ClusterError> {
    let script = format!("cat > {CONTROL_PLANES}.new; mv {CONTROL_PLANES}.new {CONTROL_PLANES}");
    runner.run(Command::sh(&script).stdin(node_spec::servers(servers, port))).await?;
    Ok(())
}
