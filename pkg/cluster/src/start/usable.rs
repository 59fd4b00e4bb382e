//! The end of a start: not "the API server answers" but "your pods run and find each other".

use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use skiff_config::Cni;
use skiff_driver::{Driver, NodeImages};
use skiff_kubeapi::Condition;
use skiff_report::Step;
use skiff_runner::Connect;

use super::{Run, fleet::Fleet, provision::phase};
use crate::{Api, ClusterError, ConnectApi, ImageSource, WaitFor, host::api_error, manifests};

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
    pub(super) async fn wait_usable(&self, fleet: &Fleet, wanted_cni: &Cni, api: &K::Api) -> Result<(), ClusterError> {
        let reporter = &*self.host.reporter;
        reporter.step(Step::VerifyingKubernetes, "Waiting until the cluster is usable");
        let wanted = |what: WaitFor| self.options.wait.contains(&what);
        let patience = fleet.patience(None);
        // What the API tells of pods counts as new only where all nodes are.
        let since = fleet.members.iter().map(|member| member.started).min().flatten();
        let own_network = *wanted_cni == Cni::Bridge;
        // Until somebody brings a network, nodes are not ready and pods have no addresses.
        let network = *wanted_cni != Cni::Disabled;
        let ready = network && (wanted(WaitFor::NodeReady) || wanted(WaitFor::Kubelet));
        let nodes = try_join_all(fleet.members.iter().map(|member| async move {
            let node = Condition::NodeReady(member.name().to_string());
            self.condition(&phase("wait/node-ready", member), ready, node, member.started, patience, api).await
        }));
        let routes =
            Condition::DaemonSet { namespace: "kube-system".to_owned(), name: manifests::ROUTES_NAME.to_owned() };
        let account = wanted(WaitFor::DefaultServiceAccount);
        tokio::try_join!(
            nodes,
            self.condition("wait/routes", ready && own_network && fleet.size > 1, routes, since, patience, api),
            self.condition("wait/service-account", account, Condition::DefaultServiceAccount, None, patience, api),
            self.condition(
                "wait/system-pods",
                network && wanted(WaitFor::SystemPods),
                Condition::SystemPods,
                since,
                patience,
                api
            ),
            self.dns(network && wanted(WaitFor::Dns), patience, api),
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
