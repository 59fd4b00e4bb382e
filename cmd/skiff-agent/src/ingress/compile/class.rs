//! Which ingresses are served here.

use crate::ingress::objects::{Id, Ingress, Objects};

/// The name by which classes name this controller.
pub(crate) const CONTROLLER: &str = "skiff.dev/ingress";
/// Class names that need no IngressClass: manifests made for nginx name its class.
const ALIASES: [&str; 2] = ["skiff", "nginx"];
/// The annotation that named the class before there was a field for it.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// The annotation of the class that ingresses without one belong to.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Whether an ingress is to be served here.
pub(super) fn is_ours(ingress: &Ingress, objects: &Objects) -> bool {
    let annotations = ingress.metadata.annotations.as_ref();
    let old = annotations.and_then(|all| all.get(OLD_CLASS)).map(String::as_str);
    match ingress.spec.ingress_class_name.as_deref().or(old) {
        Some(name) => match objects.classes.get(&Id::new("", name)) {
            Some(class) => class.spec.controller.as_deref() == Some(CONTROLLER),
            None => ALIASES.contains(&name),
        },
        None => objects.classes.values().any(|class| {
            let annotations = class.metadata.annotations.as_ref();
            let is_default = annotations.and_then(|all| all.get(DEFAULT_CLASS)).is_some_and(|value| value == "true");
            is_default && class.spec.controller.as_deref() == Some(CONTROLLER)
        }),
    }
}
