//! From a running machine to a control plane that answers, with the cluster's own parts applied.

use std::time::Duration;

use skiff_bootstrap::kubeadm;
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
        let printed = self.watch.time("kubeadm/start", kubeadm::start_control_plane(&runner, config, node)).await?;
        self.log("kubeadm.log", &printed)?;
        self.api_ready(provisioned, wanted, api, Some(&runner)).await?;

        reporter.step(Step::ConfiguringRbac, "Applying cluster DNS and storage");
        let finish = async {
            let printed =
                self.watch.time("kubeadm/finish", kubeadm::finish_control_plane(&runner, config, node)).await?;
            self.log("kubeadm.log", &printed)
        };
        let manifests =
            manifests::system(&wanted.spec, &config.endpoint, &self.images.agent_image().map_err(image_error)?);
        let patience = self.options.wait_timeout;
        let apply = self.watch.time("api/apply", api.apply(&manifests, patience));
        let cidr = self.watch.time("api/pod-cidr", api.assign_pod_cidr(node.name.as_str(), node.pod_cidr, patience));
        tokio::try_join!(finish, async { apply.await.map_err(api_error) }, async { cidr.await.map_err(api_error) },)?;
        Ok(())
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
        let patience = self.options.wait_timeout;
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

    /// Appends to a log file of the cluster.
    fn log(&self, file: &str, text: &str) -> Result<(), ClusterError> {
        Ok(self.host.store.append_log(&self.name, file, text)?)
    }
}
