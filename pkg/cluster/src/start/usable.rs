//! The end of a start: not "the API server answers" but "your pods run and find each other".

use std::time::{Duration, SystemTime};

use skiff_driver::{Driver, NodeImages};
use skiff_kubeapi::Condition;
use skiff_report::Step;
use skiff_runner::Connect;

use super::{Run, provision::Provisioned};
use crate::{Api, ClusterError, ConnectApi, ImageSource, WaitFor, host::api_error};

/// Label of the pods that the name is looked up from: they have an ordinary pod's DNS settings.
const LOOKUP_POD: &str = "k8s-app=skiff-storage";

impl<D, C, K, I> Run<'_, D, C, K, I>
where
    D: Driver + NodeImages,
    C: Connect,
    K: ConnectApi,
    I: ImageSource,
{
    /// Waits for everything the user wants to wait for, all at once.
    pub(super) async fn wait_usable(&self, provisioned: &Provisioned, api: &K::Api) -> Result<(), ClusterError> {
        let reporter = &*self.host.reporter;
        reporter.step(Step::VerifyingKubernetes, "Waiting until the cluster is usable");
        let wanted = |what: WaitFor| self.options.wait.contains(&what);
        let (since, patience) = (provisioned.started, provisioned.patience());
        let ready = Condition::NodeReady(provisioned.plan.spec.name.to_string());
        let ready_wanted = wanted(WaitFor::NodeReady) || wanted(WaitFor::Kubelet);
        let account = wanted(WaitFor::DefaultServiceAccount);
        tokio::try_join!(
            self.condition("wait/node-ready", ready_wanted, ready, since, patience, api),
            self.condition("wait/service-account", account, Condition::DefaultServiceAccount, None, patience, api),
            self.condition(
                "wait/system-pods",
                wanted(WaitFor::SystemPods),
                Condition::SystemPods,
                since,
                patience,
                api
            ),
            self.dns(wanted(WaitFor::Dns), patience, api),
        )?;
        Ok(())
    }

    async fn condition(
        &self,
        phase: &str,
        wanted: bool,
        condition: Condition,
        since: Option<SystemTime>,
        patience: Duration,
        api: &K::Api,
    ) -> Result<(), ClusterError> {
        if !wanted {
            return Ok(());
        }
        let wait = api.wait(&condition, since, patience);
        self.watch.time(phase, wait).await.map_err(api_error)
    }

    /// Looks up a service name from inside a pod, through the cluster's DNS service.
    async fn dns(&self, wanted: bool, patience: Duration, api: &K::Api) -> Result<(), ClusterError> {
        if !wanted {
            return Ok(());
        }
        let seconds = patience.as_secs().to_string();
        let lookup = ["/skiff-agent", "lookup", "kubernetes.default", "--wait", &seconds];
        let answer = self.watch.time("wait/dns", api.run_in_pod(LOOKUP_POD, &lookup, patience)).await;
        match answer.map_err(api_error)? {
            (0, _) => Ok(()),
            (_, printed) => Err(ClusterError::NotUsable {
                what: format!("a look-up of kubernetes.default from a pod ({})", printed.trim()),
                timeout: patience,
                source: None,
            }),
        }
    }
}
