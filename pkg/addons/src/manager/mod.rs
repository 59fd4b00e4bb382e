//! Brings addons into a cluster and out of it.
//!
//! An inventory is written before anything else is touched, and holds what was and what is to come
//! until the change is done. So whoever comes after a manager that was killed finds all it made.

mod disable;
mod enable;
mod enable_all;
mod reapply;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use skiff_kubeapi::{Claim, Condition, Held, KubeError, Manifest};
use tokio::time::sleep;

use crate::{
    AddonError, Inventory, Objects, Rendered,
    inventory::{INVENTORY_LABEL, NAMESPACE},
};

/// Asking for a few objects takes no longer, unless the cluster is in trouble.
const ONE_LOOK: Duration = Duration::from_secs(20);

/// How long containers that have no readiness probe must run.
const STEADY: Duration = Duration::from_secs(3);

/// Works on the addons of one cluster.
#[derive(Debug)]
pub struct Manager<'a, A> {
    api: &'a A,
    end: Instant,
}

/// An object of an addon that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The addon.
    pub addon: String,
    /// What was left, and why.
    pub held: Held,
}

/// How an addon is doing in a cluster.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing of it is there.
    Absent,
    /// Somebody is changing it, or was when they were stopped.
    Unsettled,
    /// It works.
    Working,
    /// It is there and does not work.
    Broken(KubeError),
}

impl<'a, A: Objects> Manager<'a, A> {
    /// A manager with so much patience for all that it does.
    pub fn new(api: &'a A, patience: Duration) -> Self {
        let begin = Instant::now();
        Self { api, end: begin.checked_add(patience).unwrap_or(begin) }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Every inventory there is.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn inventories(&self) -> Result<Vec<Inventory>, AddonError> {
        let label = format!("{INVENTORY_LABEL}=true");
        let found = self.api.config_maps(NAMESPACE, &label, self.left().min(ONE_LOOK)).await?;
        Ok(found.iter().filter_map(Inventory::from_object).collect())
    }

    /// How an addon is doing, without waiting for better.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn verdict(&self, rendered: &Rendered) -> Result<Verdict, AddonError> {
        let inventories = self.inventories().await?;
        let Some(inventory) = inventories.iter().find(|inventory| inventory.addon == rendered.name) else {
            return Ok(Verdict::Absent);
        };
        if !inventory.settled {
            return Ok(Verdict::Unsettled);
        }
        Ok(match self.works(&rendered.ready, None).await {
            Ok(()) => Verdict::Working,
            Err(error) => Verdict::Broken(error),
        })
    }

    /// Waits until an addon works, and goes on to.
    async fn settles(&self, rendered: &Rendered, since: Option<SystemTime>) -> Result<(), KubeError> {
        self.works(&rendered.ready, since).await?;
        if rendered.ready.is_empty() || rendered.is_probed() {
            return Ok(());
        }
        // A container that nobody asks counts as ready from its first moment, which may be its last.
        sleep(STEADY).await;
        self.works(&rendered.ready, since).await
    }

    /// Waits until all of it works; all conditions at once.
    async fn works(&self, ready: &[Condition], since: Option<SystemTime>) -> Result<(), KubeError> {
        let waits = ready.iter().map(|condition| self.api.prove(condition, since, self.left()));
        futures_util::future::try_join_all(waits).await.map(drop)
    }

    async fn write(&self, inventory: &Inventory) -> Result<(), KubeError> {
        self.force(&[inventory.to_manifest()]).await
    }

    /// Applies what is skiff's without doubt.
    async fn force(&self, objects: &[Manifest]) -> Result<(), KubeError> {
        self.api.apply_objects(objects, Claim::TakeOver, self.left()).await.map(drop)
    }
}

/// Puts the addon's name to an error of the API.
fn about(addon: &str) -> impl Fn(KubeError) -> AddonError {
    move |source| AddonError::Api { addon: addon.to_owned(), source }
}
