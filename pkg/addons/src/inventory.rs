//! What belongs to an addon in a cluster, written down in the cluster itself.

use serde_json::{Value, json};
use skiff_kubeapi::{Manifest, ObjectRef};

use crate::render::{LABEL, MANAGED_BY, Rendered};

/// Where inventories are.
pub(crate) const NAMESPACE: &str = "kube-system";
/// The label of inventories, which no addon's own objects have.
pub(crate) const INVENTORY_LABEL: &str = "skiff.dev/inventory";
/// Objects of more text than this are not kept: a ConfigMap has room for a mebibyte.
const MOST_KEPT: usize = 700 << 10;

/// What belongs to an addon.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// The addon.
    pub addon: String,
    /// Its objects. While it changes: those of before and those to come.
    pub objects: Vec<ObjectRef>,
    /// True if all of them are there as they should be; false from before a change until after it.
    pub settled: bool,
    /// Tells one rendering from another.
    pub digest: String,
    /// The objects as they were applied when it last settled, to go back to.
    pub(crate) kept: Option<Vec<Manifest>>,
}

impl Inventory {
    /// What is there once `rendered` is applied.
    pub(crate) fn settled(rendered: &Rendered) -> Self {
        Self {
            addon: rendered.name.clone(),
            objects: rendered.list(),
            settled: true,
            digest: rendered.digest.clone(),
            kept: Some(rendered.objects.clone()),
        }
    }

    /// What may be there while `rendered` takes the place of `before`.
    pub(crate) fn on_the_way(rendered: &Rendered, before: Option<&Self>) -> Self {
        let mut objects = rendered.list();
        let old = before.map(|before| before.objects.as_slice()).unwrap_or_default();
        objects.extend(old.iter().filter(|old| !rendered.objects.iter().any(|new| new.object().is(old))).cloned());
        Self {
            addon: rendered.name.clone(),
            objects,
            settled: false,
            digest: rendered.digest.clone(),
            kept: before.and_then(|before| before.kept.clone()),
        }
    }

    /// The objects that are not of `rendered`.
    pub(crate) fn without(&self, rendered: &Rendered) -> Vec<ObjectRef> {
        let new = rendered.list();
        self.objects.iter().filter(|old| !new.iter().any(|new| new.is(old))).cloned().collect()
    }

    /// Which ConfigMap holds it.
    pub(crate) fn object(addon: &str) -> ObjectRef {
        ObjectRef {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some(NAMESPACE.to_owned()),
            name: format!("skiff-addon-{addon}"),
        }
    }

    /// The ConfigMap.
    pub(crate) fn to_manifest(&self) -> Manifest {
        let object = Self::object(&self.addon);
        let bodies = self.kept.as_ref().map(|kept| kept.iter().map(Manifest::body).collect::<Vec<_>>());
        let kept = bodies.map(|bodies| json!(bodies).to_string()).filter(|text| text.len() < MOST_KEPT);
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": {
                "name": object.name,
                "namespace": NAMESPACE,
                "labels": { MANAGED_BY: "skiff", LABEL: self.addon, INVENTORY_LABEL: "true" },
            },
            "data": {
                "addon": self.addon,
                "objects": json!(self.objects).to_string(),
                "settled": self.settled.to_string(),
                "digest": self.digest,
                "kept": kept.unwrap_or_default(),
            },
        });
        Manifest::new(object, body)
    }

    /// Reads a ConfigMap; `None` if it is none of skiff's.
    pub(crate) fn from_object(object: &Value) -> Option<Self> {
        let text = |key: &str| object.pointer(&format!("/data/{key}")).and_then(Value::as_str);
        let kept = text("kept").and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
        let manifest = |body: Value| Some(Manifest::new(reference(&body)?, body));
        Some(Self {
            addon: text("addon")?.to_owned(),
            objects: serde_json::from_str(text("objects")?).ok()?,
            settled: text("settled") == Some("true"),
            digest: text("digest").unwrap_or_default().to_owned(),
            kept: kept.and_then(|bodies| bodies.into_iter().map(manifest).collect()),
        })
    }
}

fn reference(body: &Value) -> Option<ObjectRef> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Some(ObjectRef {
        api_version: text("/apiVersion")?,
        kind: text("/kind")?,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name")?,
    })
}
