//! Several addons in, or none of them.

use std::time::Duration;

use futures_util::future::join_all;

use super::Manager;
use crate::{AddonError, Inventory, Objects, Rendered};

/// How long taking out again may take: the end of patience may be why it is needed.
const TAKE_BACK: Duration = Duration::from_secs(120);

impl<A: Objects> Manager<'_, A> {
    /// [Enables](Self::enable) group after group, all of a group at once; `before` are the cluster's
    /// inventories. If one fails, those that are new in the cluster are taken out again.
    ///
    /// # Errors
    /// What failed first.
    pub async fn enable_all(
        &self,
        groups: &[Vec<&Rendered>],
        before: &[Inventory],
        force: bool,
    ) -> Result<(), AddonError> {
        let old = |name: &str| before.iter().find(|inventory| inventory.addon == name);
        let mut done: Vec<&str> = Vec::new();
        for group in groups {
            let work = group.iter().map(|rendered| self.enable(rendered, old(&rendered.name), force));
            let mut failed = None;
            for (rendered, result) in group.iter().zip(join_all(work).await) {
                match result {
                    Ok(()) => done.push(&rendered.name),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                done.retain(|name| old(name).is_none_or(|inventory| !inventory.settled));
                return Err(self.take_back(&done, error).await);
            }
        }
        Ok(())
    }

    /// Takes out what was enabled before something failed; the failure stays what is told.
    async fn take_back(&self, names: &[&str], first: AddonError) -> AddonError {
        let manager = Manager::new(self.api, TAKE_BACK);
        let taken = async {
            // Without names there is nothing to ask an API server that may be the trouble.
            let now = if names.is_empty() { Vec::new() } else { manager.inventories().await? };
            for name in names.iter().rev() {
                let _ = manager.disable(name, now.iter().find(|inventory| inventory.addon == *name)).await?;
            }
            Ok(())
        };
        match taken.await {
            Ok(()) => first,
            Err(source) => {
                let left = names.iter().map(|name| (*name).to_owned()).collect();
                AddonError::Remains { first: Box::new(first), left, source: Box::new(source) }
            }
        }
    }
}
