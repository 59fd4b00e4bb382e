//! From running machines to a control plane that answers, with the cluster's own parts applied.

use std::time::Instant;

use futures_util::future::try_join_all;
use ipnet::IpNet;
use skiff_addons::Context;
use skiff_bootstrap::{BootstrapError, ClusterConfig, Role, kubeadm};
use skiff_driver::{Driver, NodeImages};
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Gate, Member},
    plan::Wanted,
};
use crate::{
    Api, ClusterError, ConnectApi, ImageSource, WaitFor,
    addons::{self, AtStart},
    host::{api_error, image_error},
    manifests, nodes,
};

/// Where kubeadm's output goes, among the cluster's logs.
const KUBEADM_LOG: &str = "kubeadm.log";

/// What nodes share that come up together.
pub(super) struct Boot<'a, A> {
    pub(super) fleet: &'a Fleet,
    pub(super) wanted: &'a Wanted,
    pub(super) api: &'a A,
    /// Open as soon as an API server answers.
    pub(super) serving: &'a Gate,
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Brings all nodes up at once: each makes its machine without waiting for the others, and goes on
    /// from there as soon as the API server answers.
    pub(super) async fn boot(&self, fleet: &Fleet, wanted: &Wanted, api: &K::Api) -> Result<(), ClusterError> {
        let serving = Gate::closed();
        let others = async {
            // It runs already, or one of these nodes brings it.
            if fleet.first().is_none() {
                self.api_ready(fleet, None, wanted, api, None).await?;
                serving.open();
            }
            Ok(())
        };
        let boot = Boot { fleet, wanted, api, serving: &serving };
        let nodes = fleet.members.iter().map(|member| self.boot_node(&boot, member));
        tokio::try_join!(others, try_join_all(nodes)).map(drop)
    }

    async fn boot_node(&self, boot: &Boot<'_, K::Api>, member: &Member) -> Result<(), ClusterError> {
        self.provision(member).await?;
        self.tell_limits(boot.fleet, member, boot.wanted).await?;
        self.cross(boot.wanted, member).await?;
        match member.role() {
            Role::FirstControlPlane => self.boot_first(boot, member).await,
            Role::ControlPlane => self.boot_control_plane(boot, member).await,
            Role::Worker => self.boot_worker(boot, member).await,
        }
    }

    /// Runs kubeadm where the machine is new, waits for the API server, and applies what the cluster
    /// needs: DNS, storage.
    async fn boot_first(&self, boot: &Boot<'_, K::Api>, member: &Member) -> Result<(), ClusterError> {
        let Boot { fleet, wanted, api, serving } = *boot;
        if !member.needs_kubeadm() {
            self.api_ready(fleet, Some(member), wanted, api, None).await?;
            serving.open();
            return Ok(());
        }
        let reporter = &*self.host.reporter;
        reporter.step(Step::PreparingKubernetes, &format!("Preparing Kubernetes {}", wanted.spec.kubernetes_version));
        let runner = self.connect(wanted, member).await?;
        let (config, node) = (&fleet.identity.config, &member.plan.config);
        let etcd = self.etcd_start(fleet, member, wanted, &runner).await?;
        reporter.step(Step::BootingControlPlane, "Booting the control plane");
        let printed = kubeadm::start_control_plane(&runner, config, node, &etcd);
        self.log(config, self.watch.time("kubeadm/start", printed).await)?;
        let manager = async { self.log(config, kubeadm::start_controller_manager(&runner, config, node).await) };
        let scheduler = async {
            // An API server that never answers is told by the wait for its readiness.
            if api.serving(fleet.most_patience()).await {
                self.log(config, kubeadm::start_scheduler(&runner, config, node).await)?;
            }
            Ok(())
        };
        let ready = async {
            self.api_ready(fleet, Some(member), wanted, api, Some(&runner)).await?;
            self.note_served();
            serving.open();
            Ok(())
        };
        tokio::try_join!(ready, manager, scheduler)?;

        reporter.step(Step::ConfiguringRbac, "Applying cluster DNS and addons");
        let finish = async {
            let printed = self.watch.time("kubeadm/finish", async {
                match self.rolls() {
                    true => kubeadm::finish_upgraded(&runner, config, node).await,
                    false if fleet.fresh => kubeadm::finish_control_plane(&runner, config, node).await,
                    false => kubeadm::finish_control_plane_again(&runner, config, node).await,
                }
            });
            self.log(config, printed.await)
        };
        let cidr = async { self.pod_cidr(fleet, member, api).await };
        let network = async {
            let Some(manifests) = &self.options.pod_network else { return Ok(()) };
            api.apply(manifests, fleet.patience(Some(member))).await.map_err(api_error)
        };
        tokio::try_join!(finish, self.apply_parts(fleet, wanted, api), cidr, network)?;
        Ok(())
    }

    /// Gives a node its pod addresses, which also has its kubelet report at once that it is ready.
    pub(super) async fn pod_cidr(&self, fleet: &Fleet, member: &Member, api: &K::Api) -> Result<(), ClusterError> {
        let node = &member.plan.config;
        let mut networks = vec![IpNet::from(node.pod_cidr)];
        networks.extend(node.ipv6.map(|ipv6| IpNet::from(ipv6.pods)));
        let assign = api.assign_pod_cidr(node.name.as_str(), &networks, fleet.patience(Some(member)));
        self.watch.time(&super::provision::phase("api/pod-cidr", member), assign).await.map_err(api_error)
    }

    /// Applies what every cluster has of skiff: DNS, the enabled addons. Changes nothing where all is there.
    pub(super) async fn apply_parts(&self, fleet: &Fleet, wanted: &Wanted, api: &K::Api) -> Result<(), ClusterError> {
        let agent = self.agent(wanted)?;
        let system = manifests::system(&wanted.spec, &fleet.system(&agent));
        let (addons, patience) = (self.addons(wanted)?, fleet.patience(None));
        let apply = async {
            // Nothing is there yet that could be in the way, so all goes at once.
            let usual = fleet.fresh.then(|| addons.first(self.spares_addons()));
            let all = usual.map(|usual| format!("{system}\n---\n{usual}"));
            if let Some(all) = all {
                if api.apply(&all, patience).await.is_ok() {
                    return Ok(());
                }
                // What is wrong with an addon must not be wrong with the cluster.
                api.apply(&system, patience).await.map_err(api_error)?;
                addons.bring_usual(api, patience).await;
                return Ok(());
            }
            api.apply(&system, patience).await.map_err(api_error)
        };
        let asked = async {
            match fleet.fresh {
                true => addons.bring_asked(api, patience).await,
                false => addons.reapply(api, patience).await,
            }
            Ok(())
        };
        self.watch.time("api/apply", async { tokio::try_join!(apply, asked) }).await.map(drop)
    }

    /// Applies the addons that a new cluster was spared until it was usable.
    pub(super) async fn apply_spared(&self, fleet: &Fleet, wanted: &Wanted, api: &K::Api) -> Result<(), ClusterError> {
        if !fleet.fresh || !self.spares_addons() {
            return Ok(());
        }
        let (addons, patience) = (self.addons(wanted)?, fleet.patience(None));
        let spared = addons.spared();
        if spared.is_empty() {
            return Ok(());
        }
        let apply = async {
            if api.apply(&spared, patience).await.is_err() {
                addons.bring_usual(api, patience).await;
            }
        };
        self.watch.time("api/apply-addons", apply).await;
        Ok(())
    }

    /// True if a new cluster gets the addons that nobody waits for when it is usable: on few processors
    /// their pods hold up the others.
    fn spares_addons(&self) -> bool {
        !self.options.wait.contains(&WaitFor::SystemPods)
    }

    /// The enabled addons.
    pub(super) fn addons(&self, wanted: &Wanted) -> Result<AtStart<'_>, ClusterError> {
        let agent = self.agent(wanted)?;
        let context = Context { agent, ..addons::context(&wanted.file, &wanted.spec) };
        let reporter = &*self.host.reporter;
        Ok(AtStart::plan(&self.host.catalog, &wanted.file, &wanted.spec, &context, &self.refused, reporter))
    }

    /// The agent's image. A node may have been made by another skiff, and has that one's agent.
    pub(super) fn agent(&self, wanted: &Wanted) -> Result<String, ClusterError> {
        match wanted.file.status.nodes.first() {
            Some(node) if !node.agent.is_empty() => Ok(node.agent.clone()),
            _ => self.images.agent_image().map_err(image_error),
        }
    }

    /// The way into a node of this run.
    pub(super) async fn connect(&self, wanted: &Wanted, member: &Member) -> Result<C::Runner, ClusterError> {
        let connect = nodes::connect(self.host, &wanted.spec.name, member.name(), nodes::BOOT_PATIENCE);
        self.watch.time(&super::provision::phase("ssh/connect", member), connect).await
    }

    /// Waits for the API server; when it does not come, says why. One that is only slow, and gets on, is given
    /// more time.
    async fn api_ready(
        &self,
        fleet: &Fleet,
        member: Option<&Member>,
        wanted: &Wanted,
        api: &K::Api,
        runner: Option<&C::Runner>,
    ) -> Result<(), ClusterError> {
        let (begun, mut seen) = (Instant::now(), None);
        let mut patience = fleet.patience(member);
        loop {
            let Err(error) = self.watch.time("api/ready", api.ready(patience)).await else { return Ok(()) };
            let connected = match (runner, member) {
                (None, Some(member)) => self.connect(wanted, member).await.ok(),
                _ => None,
            };
            // Without a way into the node the API client's own words are the best there is.
            let Some(runner) = runner.or(connected.as_ref()) else { return Err(api_error(error)) };
            let cause = kubeadm::explain(runner).await;
            let progress = kubeadm::progress(runner).await.filter(|progress| seen.as_ref() != Some(progress));
            if !cause.is_slowness() || progress.is_none() || begun.elapsed() >= fleet.most_patience() {
                let timeout = begun.elapsed();
                return Err(BootstrapError::Silent { cause, timeout, source: error.into() }.into());
            }
            let reporter = &*self.host.reporter;
            reporter.info("The control plane is still starting, and gets on: it is given more time");
            (seen, patience) = (progress, fleet.more_patience());
        }
    }

    /// Keeps what kubeadm printed, whether it failed or not, without the token that lets nodes join.
    pub(super) fn log(
        &self,
        config: &ClusterConfig,
        printed: Result<String, BootstrapError>,
    ) -> Result<(), ClusterError> {
        let text = match &printed {
            Ok(printed) | Err(BootstrapError::Kubeadm { printed, .. }) => printed.as_str(),
            Err(_) => "",
        };
        let text = text.replace(config.token.reveal(), "(token)");
        self.host.store.append_log(&self.name, KUBEADM_LOG, &text)?;
        Ok(printed.map(drop)?)
    }

    /// Tells where to read on after kubeadm failed. The log outlives the profile if that is to go.
    pub(super) fn show_log(&self, error: &ClusterError, profile_goes: bool) {
        if !matches!(error, ClusterError::Bootstrap(BootstrapError::Kubeadm { .. })) {
            return;
        }
        let store = &self.host.store;
        let path = if profile_goes {
            // Without its log the failure is still told.
            let Ok(path) = store.rescue_log(&self.name, KUBEADM_LOG) else { return };
            path
        } else {
            store.profile_logs_dir(&self.name).join(KUBEADM_LOG)
        };
        self.host.reporter.warn(&format!("What kubeadm printed is kept in {}", path.display()));
    }
}
