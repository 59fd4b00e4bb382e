//! Machines that end, or cannot do what they shall, while somebody waits for them: nothing would ever
//! come of that.

use skiff_config::NodeName;
use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;

use super::{Run, fleet::Fleet};
use crate::{ClusterError, ConnectApi, ImageSource, living};

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Does something with the nodes, and gives up when the machine of one ends meanwhile, or shows that
    /// it never gets there.
    pub(super) async fn while_they_run<T>(
        &self,
        fleet: &Fleet,
        does: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        tokio::select! {
            biased;
            done = does => done,
            node = self.one_ends(fleet) => Err(ClusterError::NodeEnded { cluster: self.name.clone(), node }),
            trouble = self.look_out(fleet) => Err(trouble.into()),
            never = self.hurry(fleet) => match never {},
        }
    }

    /// A node whose machine ran in this run and is off.
    async fn one_ends(&self, fleet: &Fleet) -> NodeName {
        let ran =
            || fleet.members.iter().filter(|member| member.has_run()).map(|member| member.name().clone()).collect();
        living::one_ends(self.host, &self.name, ran).await
    }
}
