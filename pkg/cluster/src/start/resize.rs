//! Other limits for a node that goes on meanwhile: its kubelet has to learn what is left to share out.

use skiff_bootstrap::kubeadm;
use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Member},
    plan::Wanted,
};
use crate::{ClusterError, ConnectApi, ImageSource};

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Tells a node's kubelet of limits that its machine was given.
    pub(super) async fn tell_limits(
        &self,
        fleet: &Fleet,
        member: &Member,
        wanted: &Wanted,
    ) -> Result<(), ClusterError> {
        if member.resize {
            let runner = self.connect(wanted, member).await?;
            kubeadm::reconfigure_kubelet(&runner, &fleet.identity.config, &member.plan.config).await?;
        }
        Ok(())
    }
}
