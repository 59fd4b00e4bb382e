//! One addon out.

use skiff_kubeapi::ObjectRef;

use super::{Manager, ONE_LOOK, about, enable::is_of};
use crate::{AddonError, Inventory, Objects, Rendered};

impl<A: Objects> Manager<'_, A> {
    /// Deletes what belongs to an addon, and nothing else. False if there was nothing. May be called
    /// again, also after a call that was cut off.
    ///
    /// # Errors
    /// When something cannot be deleted, or is still there when patience is over.
    pub async fn disable(&self, name: &str, before: Option<&Inventory>) -> Result<bool, AddonError> {
        let Some(before) = before else { return Ok(false) };
        let delete = async {
            self.api.delete_objects(&before.objects, self.left()).await?;
            // Last: until it is gone, somebody knows what is left.
            self.api.delete_objects(&[Inventory::object(name)], self.left()).await
        };
        delete.await.map_err(about(name))?;
        Ok(true)
    }

    /// The inventory of an addon that was applied before there were inventories; `None` if nothing of it
    /// is there.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn recognise(&self, rendered: &Rendered) -> Result<Option<Inventory>, AddonError> {
        let objects = rendered.list();
        let found = self.api.find_objects(&objects, self.left().min(ONE_LOOK)).await.map_err(about(&rendered.name))?;
        let own = objects.into_iter().zip(found);
        let own = own.filter(|(_, found)| found.as_ref().is_some_and(|found| is_of(found, &rendered.name)));
        let objects: Vec<ObjectRef> = own.map(|(object, _)| object).collect();
        let digest = rendered.digest.clone();
        let inventory = Inventory { addon: rendered.name.clone(), objects, settled: true, digest, kept: None };
        Ok(Some(inventory).filter(|inventory| !inventory.objects.is_empty()))
    }
}
