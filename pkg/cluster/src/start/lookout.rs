//! A look at the nodes while a start waits for them: what they cannot come over is told at once.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use futures_util::future::select_all;
use skiff_bootstrap::{BootstrapError, kubeadm};
use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;

use super::{
    Run,
    fleet::{Fleet, Member},
};
use crate::{ConnectApi, ImageSource, nodes};

/// Between two looks. Most starts are done before the first one, and none shall be held up by them.
const EVERY: Duration = Duration::from_secs(8);
/// Of a slow node's time no more than one part in so many goes into looks.
const SHARE: u32 = 20;
/// How long a node may take to let skiff in.
const PATIENCE: Duration = Duration::from_secs(5);

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Waits until one of the nodes that are set up now turns out to be hopeless.
    pub(super) async fn look_out(&self, fleet: &Fleet) -> BootstrapError {
        let new = fleet.members.iter().filter(|member| member.needs_kubeadm());
        let looks: Vec<_> = new.map(|member| Box::pin(self.look_at(member))).collect();
        if looks.is_empty() { pending().await } else { select_all(looks).await.0 }
    }

    async fn look_at(&self, member: &Member) -> BootstrapError {
        let node = member.name();
        // Whoever waits for a shorter time wants to be told within it.
        let mut pause = EVERY.min(self.options.wait_timeout / 4);
        loop {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            // A node that does not run yet, or does not answer, is others' to tell.
            let Ok(runner) = nodes::connect(self.host, &self.name, node, PATIENCE).await else { continue };
            if let Some(cause) = kubeadm::hopeless(&runner).await {
                return BootstrapError::Hopeless { node: node.clone(), cause };
            }
            pause = pause.max(begun.elapsed() * SHARE);
        }
    }
}
