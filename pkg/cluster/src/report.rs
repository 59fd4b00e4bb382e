//! What use cases are asked and what they answer.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use skiff_config::{ClusterName, KubeVersion, SpecFile};

use crate::AddonSettings;

/// Something `start` can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitFor {
    /// The API server answers /readyz.
    ApiServer,
    /// The pods of kube-system are ready.
    SystemPods,
    /// The service account `default` of namespace `default` exists.
    DefaultServiceAccount,
    /// A service name resolves from a pod.
    Dns,
    /// The node is Ready.
    NodeReady,
    /// The kubelet runs.
    Kubelet,
}

/// How to start, beside what the cluster shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// What to wait for before calling the cluster started.
    pub wait: Vec<WaitFor>,
    /// How long to wait for it.
    pub wait_timeout: Duration,
    /// Leave a failed first create as it is, for inspection.
    pub keep: bool,
    /// Delete a cluster that failed to start even if it was usable once.
    pub delete_on_failure: bool,
    /// Upgrade even where pods do not leave their nodes, and ask no disruption budget.
    pub force: bool,
    /// Only fetch and build what a start needs.
    pub download_only: bool,
    /// Write certificates into the kubeconfig rather than paths to them.
    pub embed_certs: bool,
    /// Leave the user's current context alone.
    pub keep_context: bool,
    /// Addons to enable.
    pub addons: Vec<String>,
    /// What to set of them, and of those that are on already.
    pub addon_settings: AddonSettings,
    /// Manifests of the network that a new cluster's pods get, where it is not skiff's own.
    pub pod_network: Option<String>,
    /// How long a new cluster is needed: `gc` deletes it after that.
    pub ttl: Option<Duration>,
    /// The process that a new cluster is for: `gc` deletes it when that is gone.
    pub owner: Option<u32>,
}

/// One call of `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// Which cluster.
    pub name: ClusterName,
    /// Settings given now: flags over environment. They win over the stored cluster.
    pub given: SpecFile,
    /// Settings of skiff's configuration file. A new cluster takes them; an existing one keeps its own.
    pub defaults: SpecFile,
    /// How to go about it.
    pub options: StartOptions,
}

/// What a start turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new cluster was made.
    Created,
    /// A stopped or broken cluster was brought back with its data.
    Restarted,
    /// A running cluster took over changed settings.
    Updated,
    /// It was running as asked; nothing was touched.
    Unchanged,
    /// Everything a start needs was fetched (`--download-only`).
    Downloaded,
}

/// The end of a successful start.
#[derive(Debug, Clone, PartialEq)]
pub struct StartReport {
    /// What it turned out to be.
    pub outcome: Outcome,
    /// Which cluster.
    pub name: ClusterName,
    /// Its Kubernetes version.
    pub version: KubeVersion,
    /// Name of the kubeconfig context, if one was written.
    pub context: Option<String>,
    /// Whether it is the user's current context now.
    pub current_context: bool,
    /// Wall-clock time of the whole start.
    pub elapsed: Duration,
}

/// The end of a successful stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReport {
    /// Nodes that were stopped by this call.
    pub stopped: Vec<String>,
}

/// What `pause` and `unpause` are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseScope {
    /// The machines: all that runs in the cluster.
    Machines,
    /// The containers of these namespaces, and the kubelets.
    Namespaces(Vec<String>),
}

/// The end of a successful pause or unpause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseReport {
    /// Nodes that this call froze or thawed something of.
    pub nodes: Vec<String>,
    /// How many containers it froze or thawed inside of nodes; absent where machines were.
    pub containers: Option<usize>,
}

/// The end of a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteReport {
    /// False when there was nothing under that name.
    pub existed: bool,
}

/// State of a machine or a part of Kubernetes, in minikube's words (`Running`, `Stopped` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentState {
    /// It works.
    Running,
    /// It is off.
    Stopped,
    /// It is frozen.
    Paused,
    /// It runs but does not work.
    Error,
    /// There is none.
    Nonexistent,
    /// A worker has none.
    Irrelevant,
}

impl ComponentState {
    /// The word `status` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
            Self::Paused => "Paused",
            Self::Error => "Error",
            Self::Nonexistent => "Nonexistent",
            Self::Irrelevant => "Irrelevant",
        }
    }
}

/// Whether the user's kubeconfig leads to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KubeconfigState {
    /// It does.
    Configured,
    /// It has no entry, or one that leads elsewhere.
    Misconfigured,
    /// A worker has none.
    Irrelevant,
}

impl KubeconfigState {
    /// The word `status` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "Configured",
            Self::Misconfigured => "Misconfigured",
            Self::Irrelevant => "Irrelevant",
        }
    }
}

/// One node as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Whether it is a worker.
    pub worker: bool,
    /// The machine.
    pub host: ComponentState,
    /// Its kubelet.
    pub kubelet: ComponentState,
    /// Its API server.
    pub apiserver: ComponentState,
    /// The user's kubeconfig.
    pub kubeconfig: KubeconfigState,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Why it does not do what it should, where that can be told, and what to do about it: its machine is
    /// halted though nobody has frozen it, its certificates have ended, the way to it is gone.
    pub trouble: Option<String>,
}

/// A cluster as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Its name.
    pub name: ClusterName,
    /// Its Kubernetes version.
    pub version: KubeVersion,
    /// Its nodes, the first one first.
    pub nodes: Vec<NodeReport>,
}

/// A cluster as `profile list` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileReport {
    /// Its name.
    pub name: ClusterName,
    /// The driver it runs on.
    pub driver: String,
    /// Its Kubernetes version.
    pub version: String,
    /// Its status; absent when nobody asked for it (`profile list -l`).
    pub status: Option<ClusterStatus>,
    /// What was asked for.
    pub spec: SpecFile,
    /// Address of its first node.
    pub address: Option<Ipv4Addr>,
    /// Number of nodes.
    pub nodes: usize,
    /// Settings that differ from skiff's defaults, for the JSON output.
    pub config: BTreeMap<String, String>,
}
