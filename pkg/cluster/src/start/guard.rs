//! Machines that end, or cannot do what they shall, while somebody waits for them: nothing would ever
//! come of that.

use std::{collections::BTreeSet, time::Duration};

use skiff_config::NodeName;
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_runner::Connect;

use super::{Run, fleet::Fleet};
use crate::{ClusterError, ConnectApi, ImageSource};

/// Between two looks at the machines.
const LOOK: Duration = Duration::from_secs(3);

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

    /// A node whose machine ran in this run and is off. One that is on its way up again by itself is
    /// seen off only once.
    async fn one_ends(&self, fleet: &Fleet) -> NodeName {
        let mut off = BTreeSet::new();
        loop {
            tokio::time::sleep(LOOK).await;
            // A driver that does not answer has told of no end.
            let Ok(live) = self.host.driver.list(Some(&self.name)).await else { continue };
            let runs = |node: &NodeName| {
                live.iter().any(|machine| {
                    machine.name == *node && !matches!(machine.state, MachineState::Stopped | MachineState::Missing)
                })
            };
            let ended = fleet.members.iter().filter(|member| member.has_run()).map(|member| member.name());
            let ended: BTreeSet<NodeName> = ended.filter(|node| !runs(node)).cloned().collect();
            if let Some(node) = ended.intersection(&off).next() {
                return node.clone();
            }
            off = ended;
        }
    }
}
