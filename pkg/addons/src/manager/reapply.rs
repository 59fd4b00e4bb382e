//! All addons of a cluster as they should be, at its start.

use std::time::SystemTime;

use futures_util::future::join_all;
use skiff_kubeapi::{Claim, KubeError, Manifest};

use super::{Left, Manager};
use crate::{AddonError, Inventory, Objects, Rendered};

impl Rendered {
    /// Its objects and its inventory, for a cluster that has nothing yet: all may be applied at once,
    /// as a start that is cut off there is undone as a whole.
    #[must_use]
    pub fn first(&self) -> Vec<Manifest> {
        let mut objects = self.objects.clone();
        objects.push(Inventory::settled(self).to_manifest());
        objects
    }
}

impl<A: Objects> Manager<'_, A> {
    /// Applies addons group after group, and takes out those of which there is an inventory and which are
    /// not among them, nor among those to `keep` as they are. What others have made of an object stays; it
    /// is returned. Does not wait until anything works.
    ///
    /// # Errors
    /// The first addon that the cluster does not take.
    pub async fn reapply(&self, groups: &[Vec<Rendered>], keep: &[String]) -> Result<Vec<Left>, AddonError> {
        let inventories = self.inventories().await?;
        let before = |name: &str| inventories.iter().find(|inventory| inventory.addon == name);
        let mut left = Vec::new();
        for group in groups {
            let done = join_all(group.iter().map(async |rendered| {
                let done = self.again(rendered, before(&rendered.name)).await;
                done.map_err(|source| AddonError::Api { addon: rendered.name.clone(), source })
            }));
            for (rendered, held) in group.iter().zip(done.await) {
                left.extend(held?.into_iter().map(|held| Left { addon: rendered.name.clone(), held }));
            }
        }
        let wanted = |name: &str| {
            keep.iter().any(|kept| kept == name) || groups.iter().flatten().any(|rendered| rendered.name == name)
        };
        for gone in inventories.iter().filter(|inventory| !wanted(&inventory.addon)) {
            let _ = self.disable(&gone.addon, Some(gone)).await?;
        }
        Ok(left)
    }

    async fn again(
        &self,
        rendered: &Rendered,
        before: Option<&Inventory>,
    ) -> Result<Vec<skiff_kubeapi::Held>, KubeError> {
        let after = Inventory::settled(rendered);
        let same = before.is_some_and(|before| {
            before.settled && before.digest == after.digest && before.without(rendered).is_empty()
        });
        if !same {
            self.write(&Inventory::on_the_way(rendered, before)).await?;
        }
        let held = self.api.apply_objects(&rendered.objects, Claim::Yield, self.left()).await?;
        if !same {
            let gone = before.map(|before| before.without(rendered)).unwrap_or_default();
            self.api.delete_objects(&gone, self.left()).await?;
            self.write(&after).await?;
        }
        Ok(held)
    }

    /// Has an addon's pods made anew, and waits until it works.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn refresh(&self, rendered: &Rendered) -> Result<(), AddonError> {
        let restarted = self.api.restart_workloads(&rendered.list(), self.left()).await;
        restarted.map_err(|source| AddonError::Api { addon: rendered.name.clone(), source })?;
        self.wait(rendered, None).await
    }

    /// Waits until an addon works. What the cluster wrote before `since` does not count.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn wait(&self, rendered: &Rendered, since: Option<SystemTime>) -> Result<(), AddonError> {
        self.settles(rendered, since).await.map_err(|source| AddonError::NotWorking {
            addon: rendered.name.clone(),
            undone: false,
            source,
        })
    }
}
