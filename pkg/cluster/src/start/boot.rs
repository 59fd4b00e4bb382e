//! From a running machine to a control plane that answers, with the cluster's own parts applied.

use std::time::Duration;

use skiff_bootstrap::{BootstrapError, ClusterConfig, kubeadm};
use skiff_driver::{Driver, NodeImages};
use skiff_report::Step;
use skiff_runner::{Connect, Runner};

use super::{Run, plan::Wanted, provision::Provisioned};
use crate::{
    Api, ClusterError, ConnectApi, ImageSource,
    error::Outside,
    host::{api_error, driver_error, image_error},
    manifests,
    nodes::ssh_target,
};

/// How long a machine may take until its sshd answers.
const SSH_PATIENCE: Duration = Duration::from_secs(90);
/// Where kubeadm's output goes, among the cluster's logs.
const KUBEADM_LOG: &str = "kubeadm.log";

impl<D, C, K, I> Run<'_, D, C, K, I>
where
    D: Driver + NodeImages,
    C: Connect,
    K: ConnectApi,
    I: ImageSource,
{
    /// Runs kubeadm where the machine is new, waits for the API server, and applies what the cluster
    /// needs: DNS, storage.
    pub(super) async fn boot(
        &self,
        provisioned: &Provisioned,
        wanted: &Wanted,
        api: &K::Api,
    ) -> Result<(), ClusterError> {
        if !provisioned.needs_kubeadm() {
            return self.api_ready(provisioned, wanted, api, None::<&C::Runner>).await;
        }
        let reporter = &*self.host.reporter;
        reporter.step(Step::PreparingKubernetes, &format!("Preparing Kubernetes {}", wanted.spec.kubernetes_version));
        let runner = self.connect(provisioned, wanted).await?;
        let (config, node) = (&provisioned.identity.config, &provisioned.plan.config);
        reporter.step(Step::BootingControlPlane, "Booting the control plane");
        let printed = self.watch.time("kubeadm/start", kubeadm::start_control_plane(&runner, config, node)).await;
        self.log(config, printed)?;
        let manager = async { self.log(config, kubeadm::start_controller_manager(&runner, config, node).await) };
        let scheduler = async {
            // An API server that never answers is told by the wait for its readiness.
            if api.serving(provisioned.patience()).await {
                self.log(config, kubeadm::start_scheduler(&runner, config, node).await)?;
            }
            Ok(())
        };
        tokio::try_join!(self.api_ready(provisioned, wanted, api, Some(&runner)), manager, scheduler)?;

        reporter.step(Step::ConfiguringRbac, "Applying cluster DNS and storage");
        let finish = async {
            let printed = self.watch.time("kubeadm/finish", kubeadm::finish_control_plane(&runner, config, node)).await;
            self.log(config, printed)
        };
        let cidr = api.assign_pod_cidr(node.name.as_str(), node.pod_cidr, provisioned.patience());
        let cidr = async { self.watch.time("api/pod-cidr", cidr).await.map_err(api_error) };
        tokio::try_join!(finish, self.apply_parts(provisioned, wanted, api), cidr)?;
        Ok(())
    }

    /// Applies what every cluster has of skiff: DNS, storage. Changes nothing where all is there.
    pub(super) async fn apply_parts(
        &self,
        provisioned: &Provisioned,
        wanted: &Wanted,
        api: &K::Api,
    ) -> Result<(), ClusterError> {
        // The node may have been made by another skiff, and has that one's agent.
        let agent = match wanted.file.status.nodes.first() {
            Some(node) if !node.agent.is_empty() => node.agent.clone(),
            _ => self.images.agent_image().map_err(image_error)?,
        };
        let manifests = manifests::system(&wanted.spec, &provisioned.identity.config.endpoint, &agent);
        let apply = api.apply(&manifests, provisioned.patience());
        self.watch.time("api/apply", apply).await.map_err(api_error)
    }

    async fn connect(&self, provisioned: &Provisioned, wanted: &Wanted) -> Result<C::Runner, ClusterError> {
        let spec = &provisioned.plan.spec;
        let endpoints = self.host.driver.endpoints(&spec.cluster, &spec.name).await.map_err(driver_error)?;
        let target = ssh_target(&self.host.store, &wanted.spec.name, endpoints.ssh, provisioned.host_key.clone());
        Ok(self.watch.time("ssh/connect", self.host.connect.connect(&target, SSH_PATIENCE)).await?)
    }

    /// Waits for the API server; when it does not come, says why.
    async fn api_ready<R: Runner>(
        &self,
        provisioned: &Provisioned,
        wanted: &Wanted,
        api: &K::Api,
        runner: Option<&R>,
    ) -> Result<(), ClusterError> {
        let patience = provisioned.patience();
        let Err(error) = self.watch.time("api/ready", api.ready(patience)).await else { return Ok(()) };
        let cause = match runner {
            Some(runner) => kubeadm::explain(runner).await,
            None => match self.connect(provisioned, wanted).await {
                Ok(runner) => kubeadm::explain(&runner).await,
                // Without a way into the node the API client's own words are the best there is.
                Err(_) => return Err(api_error(error)),
            },
        };
        let source = Some(Outside::new(error));
        Err(ClusterError::NotUsable { what: format!("the API server's start ({cause})"), timeout: patience, source })
    }

    /// Keeps what kubeadm printed, whether it failed or not, without the token that lets nodes join.
    fn log(&self, config: &ClusterConfig, printed: Result<String, BootstrapError>) -> Result<(), ClusterError> {
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
