//! Leave to refer to objects of other namespaces.

use super::objects::{GROUP, GrantSpec};
use crate::ingress::objects::{Id, Objects};

/// Whether an object of the Gateway API, of a kind and in a namespace, may refer to `id`, which has a group and a kind.
pub(super) fn granted(objects: &Objects, from: (&str, &str), (group, kind, id): (&str, &str, &Id)) -> bool {
    let mut grants = objects.gateway.grants.iter().filter(|(grant, _)| grant.namespace == id.namespace);
    from.1 == id.namespace || grants.any(|(_, grant)| opens(&grant.spec, from, (group, kind, &id.name)))
}

fn opens(grant: &GrantSpec, (kind, namespace): (&str, &str), to: (&str, &str, &str)) -> bool {
    let from = grant
        .from
        .iter()
        .any(|from| from.group.as_deref() == Some(GROUP) && from.kind == kind && from.namespace == namespace);
    let meant = grant.to.iter().any(|target| {
        let named = target.name.as_ref().is_none_or(|name| name == to.2);
        target.group.as_deref().unwrap_or_default() == to.0 && target.kind == to.1 && named
    });
    from && meant
}
