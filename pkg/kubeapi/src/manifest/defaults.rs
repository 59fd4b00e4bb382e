//! What servers before 1.22 cannot do themselves in a server-side apply.
//!
//! Their merge needs `protocol` in every port, as it is part of the key that tells ports apart, and
//! takes quantities only as strings. Both are what the server would fill in, so newer ones get them too.

use serde_json::{Map, Value};

/// Fills in the protocol of ports and writes quantities as strings, in services and in all pod templates.
pub(crate) fn complete(object: &mut Value) {
    if object.get("kind").and_then(Value::as_str) == Some("Service")
        && let Some(ports) = object.pointer_mut("/spec/ports")
    {
        set_protocol(ports);
    }
    if let Some(spec) = object.get_mut("spec") {
        walk(spec);
    }
}

/// Pod specs lie at different depths: in a Pod, in a template, in a CronJob's template of a template.
fn walk(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(fields) => {
            for list in ["containers", "initContainers", "ephemeralContainers"] {
                for container in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    container.get_mut("ports").into_iter().for_each(set_protocol);
                }
            }
            if let Some(Value::Object(resources)) = fields.get_mut("resources") {
                set_quantities(resources);
            }
            fields.values_mut().for_each(walk);
        }
        _ => {}
    }
}

fn set_protocol(ports: &mut Value) {
    for port in ports.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        port.entry("protocol").or_insert_with(|| "TCP".into());
    }
}

fn set_quantities(resources: &mut Map<String, Value>) {
    for part in ["limits", "requests"] {
        for amount in resources.get_mut(part).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            if amount.is_number() {
                *amount = amount.to_string().into();
            }
        }
    }
}
