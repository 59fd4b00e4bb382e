//! The end of a start: not "the API server answers" but "your pods run and find each other".

use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use skiff_config::{ClusterSpec, Cni};
use skiff_driver::{Driver, NodeImages};
use skiff_kubeapi::Condition;
use skiff_report::Step;
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Targets},
    network,
    plan::Wanted,
    provision::phase,
};
use crate::{Api, ClusterError, ConnectApi, ImageSource, WaitFor, addons::AtStart, host::api_error, manifests};

/// Label of the pods that a name is looked up from: they have an ordinary pod's DNS settings.
const STORAGE_POD: &str = "k8s-app=skiff-storage-provisioner";
/// Label of those that are there even without storage. They ask the node's servers unless told otherwise.
const DNS_POD: &str = "k8s-app=kube-dns";

/// Where to look up which name.
fn lookup(spec: &ClusterSpec, addons: &AtStart<'_>) -> (&'static str, Vec<String>) {
    if addons.has_storage() {
        return (STORAGE_POD, vec!["kubernetes.default".to_owned()]);
    }
    let name = format!("kubernetes.default.svc.{}.", spec.dns_domain);
    (DNS_POD, vec![name, "--server".to_owned(), format!("{}:53", spec.cluster_dns_ip())])
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Waits for everything the user wants to wait for, all at once.
    pub(super) async fn wait_usable(
        &self,
        fleet: &Fleet,
        wanted_cluster: &Wanted,
        api: &K::Api,
    ) -> Result<(), ClusterError> {
        let reporter = &*self.host.reporter;
        reporter.step(Step::VerifyingKubernetes, "Waiting until the cluster is usable");
        let (spec, addons) = (&wanted_cluster.spec, self.addons(wanted_cluster)?);
        let wanted = |what: WaitFor| self.options.wait.contains(&what);
        let patience = fleet.patience(None);
        // What the API tells of pods counts as new only where all nodes are.
        let since = fleet.members.iter().map(|member| member.started).min().flatten();
        let since = since.filter(|_| self.targets == Targets::All);
        let own_network = spec.cni == Cni::Bridge;
        // Until somebody brings a network, nodes are not ready and pods have no addresses.
        let has_network = spec.cni != Cni::Disabled;
        let ready = has_network && (wanted(WaitFor::NodeReady) || wanted(WaitFor::Kubelet));
        let nodes = try_join_all(fleet.members.iter().map(|member| async move {
            let node = Condition::NodeReady(member.name().to_string());
            self.condition(&phase("wait/node-ready", member), ready, node, member.started, patience, api).await
        }));
        let routed = ready && own_network && fleet.size > 1;
        let routes = try_join_all(self.to_be_routed(fleet, wanted_cluster).map(|(node, since)| {
            let label = format!("k8s-app={}", manifests::ROUTES_NAME);
            let pod = Condition::PodOn { namespace: "kube-system".to_owned(), label, node };
            self.condition("wait/routes", routed, pod, since, patience, api)
        }));
        let account = wanted(WaitFor::DefaultServiceAccount);
        let all = async {
            tokio::try_join!(
                nodes,
                routes,
                self.condition("wait/service-account", account, Condition::DefaultServiceAccount, None, patience, api),
                self.condition(
                    "wait/system-pods",
                    has_network && wanted(WaitFor::SystemPods),
                    Condition::SystemPods,
                    since,
                    patience,
                    api
                ),
                self.dns(has_network && wanted(WaitFor::Dns), lookup(spec, &addons), patience, api),
                async {
                    if has_network {
                        addons.wait(api, since, patience).await;
                    }
                    Ok(())
                },
            )
        };
        tokio::select! {
            usable = all => usable.map(drop),
            error = network::in_vain(api, self.options.pod_network.as_deref(), patience), if ready => Err(error),
        }
    }

    /// The nodes that must have their routes, and since when: those of this run, and where it brings a cluster's
    /// second one, the first one, which had none before.
    fn to_be_routed(&self, fleet: &Fleet, wanted: &Wanted) -> impl Iterator<Item = (String, Option<SystemTime>)> {
        let begins = fleet.size == 2 && self.targets != Targets::All && fleet.first().is_none();
        let members = fleet.members.iter().map(|member| (member.name().to_string(), member.started));
        let members: Vec<_> = members.collect();
        let others = wanted.file.status.nodes.iter().filter(|_| begins).map(|record| record.name.to_string());
        let others = others.filter(|name| members.iter().all(|(member, _)| member != name));
        let others: Vec<_> = others.map(|name| (name, None)).collect();
        members.into_iter().chain(others)
    }

    pub(super) async fn condition(
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
    async fn dns(
        &self,
        wanted: bool,
        (pod, question): (&str, Vec<String>),
        patience: Duration,
        api: &K::Api,
    ) -> Result<(), ClusterError> {
        if !wanted {
            return Ok(());
        }
        let seconds = patience.as_secs().to_string();
        let mut argv = vec!["/skiff-agent", "lookup", "--wait", &seconds];
        argv.extend(question.iter().map(String::as_str));
        let answer = self.watch.time("wait/dns", api.run_in_pod(pod, &argv, patience)).await;
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
