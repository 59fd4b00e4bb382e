//! Nodes that run but put things off: whoever starts their cluster has mended what was wrong with it, and
//! need not wait.

use std::{convert::Infallible, future::pending, time::Duration};

use futures_util::future::join_all;
use skiff_bootstrap::kubeadm;
use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;
use tokio::time::sleep;

use super::{
    Run,
    fleet::{Fleet, Member},
    plan::NodeAction,
};
use crate::{ConnectApi, ImageSource, nodes};

/// After that long a start of nodes that run is over if nothing is wrong.
const USUAL: Duration = Duration::from_secs(3);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(8);
/// After what was put off was made to happen: a kubelet that was started again may be held up once more.
const AGAIN: Duration = Duration::from_secs(40);
/// How long a node may take to let skiff in.
const PATIENCE: Duration = Duration::from_secs(5);

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Has what running nodes put off happen at once. Never ends.
    pub(super) async fn hurry(&self, fleet: &Fleet) -> Infallible {
        // Parts of a node that changes its version come and go as they should.
        if self.passage.is_none() {
            let kept = fleet.members.iter().filter(|member| member.action == NodeAction::Keep);
            join_all(kept.map(|member| self.hurry_one(member))).await;
        }
        pending().await
    }

    async fn hurry_one(&self, member: &Member) -> Infallible {
        let node = member.name();
        let (mut pause, mut again) = (USUAL, AGAIN);
        loop {
            sleep(pause).await;
            pause = EVERY;
            // A node that does not answer is others' to tell.
            let Ok(runner) = nodes::connect(self.host, &self.name, node, PATIENCE).await else { continue };
            if let Some(part) = kubeadm::hurry(&runner).await {
                self.host.reporter.info(&format!("{part} on {node} was to be started again later: it is now"));
                // Less and less often: a node that is only slow is better left alone.
                pause = again;
                again = again.saturating_mul(2);
            }
        }
    }
}
