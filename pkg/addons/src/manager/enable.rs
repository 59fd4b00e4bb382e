//! One addon in, or all as it was.

use std::time::Duration;

use serde_json::Value;
use skiff_kubeapi::{Claim, KubeError, ObjectRef, Trouble};

use super::{Manager, ONE_LOOK, about};
use crate::{AddonError, Inventory, Objects, Rendered, render::LABEL};

/// How long undoing may take.
const UNDO: Duration = Duration::from_secs(60);

impl<A: Objects> Manager<'_, A> {
    /// Applies an addon, waits until it works, and deletes what an older version of it had and this one
    /// has not. `before` is its inventory, if there is one. May be called again, also after a call that
    /// was cut off.
    ///
    /// # Errors
    /// Objects and fields that belong to others, unless `force`: nothing is changed then. When it does
    /// not come to life: it is undone then.
    pub async fn enable(&self, rendered: &Rendered, before: Option<&Inventory>, force: bool) -> Result<(), AddonError> {
        let name = &rendered.name;
        if !force {
            self.check(rendered, before).await?;
        }
        self.write(&Inventory::on_the_way(rendered, before)).await.map_err(about(name))?;
        let Err(first) = self.bring(rendered, before, force).await else { return Ok(()) };
        match self.undo(rendered, before).await {
            Ok(()) => Err(AddonError::NotWorking { addon: name.clone(), undone: true, source: first }),
            Err(source) => Err(AddonError::NotUndone { addon: name.clone(), first: Box::new(first), source }),
        }
    }

    /// Refuses what would change others' things.
    async fn check(&self, rendered: &Rendered, before: Option<&Inventory>) -> Result<(), AddonError> {
        let addon = || rendered.name.clone();
        let known = |object: &ObjectRef| before.is_some_and(|before| before.objects.iter().any(|own| own.is(object)));
        let new: Vec<ObjectRef> = rendered.list().into_iter().filter(|object| !known(object)).collect();
        let patience = self.left().min(ONE_LOOK);
        let (found, refusals) =
            tokio::try_join!(self.api.find_objects(&new, patience), self.api.rehearse(&rendered.objects, patience),)
                .map_err(about(&rendered.name))?;
        let taken = new
            .into_iter()
            .zip(found)
            .filter(|(_, found)| found.as_ref().is_some_and(|found| !is_of(found, &rendered.name)));
        let objects: Vec<ObjectRef> = taken.map(|(object, _)| object).collect();
        if !objects.is_empty() {
            return Err(AddonError::Taken { addon: addon(), objects });
        }
        if refusals.is_empty() { Ok(()) } else { Err(AddonError::Refused { addon: addon(), refusals }) }
    }

    async fn bring(&self, rendered: &Rendered, before: Option<&Inventory>, force: bool) -> Result<(), KubeError> {
        let claim = if force { Claim::TakeOver } else { Claim::Yield };
        let held = self.api.apply_objects(&rendered.objects, claim, self.left()).await?;
        if let Some(held) = held.into_iter().next() {
            let source = Trouble::Owned { owners: held.owners };
            return Err(KubeError::Refused { object: held.object.to_string(), source });
        }
        self.settles(rendered, None).await?;
        let gone = before.map(|before| before.without(rendered)).unwrap_or_default();
        self.api.delete_objects(&gone, self.left()).await?;
        self.write(&Inventory::settled(rendered)).await
    }

    /// Brings back what was there before, and takes away what was not.
    async fn undo(&self, rendered: &Rendered, before: Option<&Inventory>) -> Result<(), KubeError> {
        // The end of patience may be why it is undone.
        let undo = Manager::new(self.api, UNDO);
        let Some((before, kept)) = before.and_then(|before| Some((before, before.kept.as_ref()?))) else {
            let mut objects = rendered.list();
            let old = before.map(|before| before.without(rendered)).unwrap_or_default();
            objects.extend(old);
            undo.api.delete_objects(&objects, undo.left()).await?;
            return undo.api.delete_objects(&[Inventory::object(&rendered.name)], undo.left()).await;
        };
        let old = |object: &ObjectRef| kept.iter().any(|kept| kept.object().is(object));
        let all = rendered.list().into_iter().chain(before.objects.iter().cloned());
        let new: Vec<ObjectRef> = all.filter(|object| !old(object)).collect();
        undo.force(kept).await?;
        undo.api.delete_objects(&new, undo.left()).await?;
        let objects = kept.iter().map(skiff_kubeapi::Manifest::object).collect();
        undo.write(&Inventory { settled: true, objects, ..before.clone() }).await?;
        // As it was means that it works as it did; where it did not, there is nothing to wait for.
        let _ = undo.works(&rendered.ready, None).await;
        Ok(())
    }
}

/// True for an object that skiff applied for this addon, or before it labelled what it applies. Where
/// an object has no field that anybody could own, only its name tells.
pub(super) fn is_of(object: &Value, addon: &str) -> bool {
    if let Some(owner) = object.pointer("/metadata/labels").and_then(|labels| labels.get(LABEL)) {
        return owner == addon;
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if name.starts_with("skiff-") || name.starts_with("skiff:") {
        return true;
    }
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    managers.into_iter().flatten().any(|entry| entry["manager"] == "skiff" && entry["operation"] == "Apply")
}
