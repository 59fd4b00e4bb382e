//! The nodes of one run, and what has to be done for each.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use skiff_bootstrap::{Role, kubeadm};
use skiff_config::{ClusterFile, NodeName};
use skiff_driver::NodeNetwork;
use tokio::sync::watch;

use super::plan::NodeAction;
use crate::{identity::Identity, manifests::System, node_spec::NodePlan};

/// How many times as long as it was meant to a wait for a control plane may take, as with all that makes progress.
const MOST: u32 = 3;

/// Which nodes a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// All there are.
    All,
    /// One of a cluster that runs.
    One(NodeName),
}

impl Targets {
    pub(super) fn contain(&self, node: &NodeName) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => name == node,
        }
    }
}

/// One node.
pub(super) struct Member {
    /// What has to be done for its machine.
    pub(super) action: NodeAction,
    /// When its machine was started, if it is.
    pub(super) started: Option<SystemTime>,
    /// True if its machine, which stays, has to be given other limits.
    pub(super) resize: bool,
    /// What it shall be.
    pub(super) plan: NodePlan,
    /// Since when its machine runs.
    runs: OnceLock<Instant>,
}

impl Member {
    pub(super) fn new(action: NodeAction, plan: NodePlan, limits: &str) -> Self {
        let stays = matches!(action, NodeAction::Keep | NodeAction::Start);
        let resize = stays && !plan.limits.is_empty() && plan.limits != limits;
        let started = (action != NodeAction::Keep).then(SystemTime::now);
        Self { action, started, resize, plan, runs: OnceLock::new() }
    }

    pub(super) fn name(&self) -> &NodeName {
        &self.plan.spec.name
    }

    pub(super) fn role(&self) -> Role {
        self.plan.config.role
    }

    /// Notes that its machine runs.
    pub(super) fn runs(&self) {
        let _ = self.runs.set(Instant::now());
    }

    /// True if its machine has run in this run.
    pub(super) fn has_run(&self) -> bool {
        self.runs.get().is_some()
    }

    /// True if kubeadm has to run.
    pub(super) fn needs_kubeadm(&self) -> bool {
        matches!(self.action, NodeAction::Create | NodeAction::Replace)
    }

    /// As others of etcd know it.
    pub(super) fn etcd(&self) -> kubeadm::Member {
        kubeadm::Member { name: self.name().clone(), address: self.plan.spec.address }
    }
}

/// All nodes of a run.
pub(super) struct Fleet {
    /// The cluster's secrets and settings.
    pub(super) identity: Identity,
    /// The nodes, the first one of the cluster first if it is among them.
    pub(super) members: Vec<Member>,
    /// The network they are in.
    pub(super) network: NodeNetwork,
    /// How many nodes the whole cluster has.
    pub(super) size: usize,
    /// True if nobody has used the cluster yet.
    pub(super) fresh: bool,
    /// How long the user waits for a machine that runs.
    pub(super) patience: Duration,
}

impl Fleet {
    /// The node that the cluster begins with, if it is among these.
    pub(super) fn first(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.role() == Role::FirstControlPlane)
    }

    /// What is left of the user's patience. It begins when a machine runs: making it has no such limit.
    pub(super) fn patience(&self, member: Option<&Member>) -> Duration {
        let since = match member {
            Some(member) => member.runs.get().copied(),
            None => self.members.iter().filter_map(|member| member.runs.get().copied()).max(),
        };
        left(self.patience, since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// The longest that anybody waits for a control plane that gets on.
    pub(super) fn most_patience(&self) -> Duration {
        self.patience.saturating_mul(MOST)
    }

    /// What a control plane that gets on is given once its time is over.
    pub(super) fn more_patience(&self) -> Duration {
        self.patience / MOST
    }

    /// What the manifests of every cluster depend on.
    pub(super) fn system<'a>(&'a self, agent: &'a str) -> System<'a> {
        let (endpoint, host) = (&self.identity.config.endpoint, self.network.gateway);
        System { endpoint, agent, host, nodes: self.size }
    }

    /// Notes that the nodes now are what was planned.
    pub(super) fn mark_applied(&self, file: &mut ClusterFile) {
        for record in &mut file.status.nodes {
            if let Some(member) = self.members.iter().find(|member| *member.name() == record.name) {
                record.applied.clone_from(&member.plan.fingerprint);
                record.limits.clone_from(&member.plan.limits);
            }
        }
    }
}

/// What is left of a patience. Whoever comes to another thing to wait for has got somewhere, so that it
/// is never nothing.
fn left(patience: Duration, elapsed: Duration) -> Duration {
    patience.saturating_sub(elapsed).max(patience / 4)
}

/// What several wait for and one opens.
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn opened(&self) {
        // Its other end lives as long as this one.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gets_somewhere_has_some_patience_left() {
        let minutes = Duration::from_mins;
        assert_eq!(left(minutes(6), minutes(1)), minutes(5));
        assert_eq!(left(minutes(8), minutes(7)), minutes(2));
        assert_eq!(left(minutes(8), minutes(30)), minutes(2));
        assert_eq!(left(Duration::ZERO, minutes(1)), Duration::ZERO);
    }
}
