//! Documents as YAML that Go programs read back the same.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use crate::BootstrapError;

/// The documents, one after the other.
pub(crate) fn to_yaml(documents: &[Value]) -> Result<String, BootstrapError> {
    // The writer quotes what YAML 1.1 takes for something else (`no`, `1e3`), which Go's reader is.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let ordered: Vec<Ordered<'_>> = documents.iter().map(Ordered).collect();
    serde_saphyr::to_string_multiple_with_options(&ordered, options).map_err(|source| BootstrapError::Yaml {
        document: documents.iter().filter_map(|document| document["kind"].as_str()).collect::<Vec<_>>().join(", "),
        source: Box::new(source),
    })
}

/// A Go duration: `1h0m0s`, `4m0s`, `1s`, `250ms`.
pub(crate) fn duration(duration: std::time::Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest, millis) {
        (0, 0, 0, 1..) => format!("{millis}ms"),
        (0, 0, _, 0) => format!("{rest}s"),
        (0, 0, ..) => format!("{rest}.{millis:03}s"),
        (0, ..) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// Puts `value` under `key` unless it is an empty map or list.
pub(super) fn insert_unless_empty(map: &mut Value, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let empty = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if !empty {
        map[key] = value;
    }
}

/// Writes maps in an order of their own, `apiVersion` and `kind` first and the rest by name: the
/// order of [`serde_json::Map`] depends on features that other crates of a build may switch on.
struct Ordered<'a>(&'a Value);

impl Ordered<'_> {
    fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
        let rank = |key: &str| match key {
            "apiVersion" => 0,
            "kind" => 1,
            "name" => 2,
            _ => 3,
        };
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| (rank(key), *key));
        entries
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in Self::sorted(map) {
                    entries.serialize_entry(key, &Ordered(value))?;
                }
                entries.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let table = [
            (Duration::ZERO, "0s"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_millis(1500), "1.500s"),
            (Duration::from_secs(1), "1s"),
            (Duration::from_secs(240), "4m0s"),
            (Duration::from_hours(26_280), "26280h0m0s"),
        ];
        for (value, shown) in table {
            assert_eq!(duration(value), shown);
        }
    }

    #[test]
    fn strings_that_yaml_1_1_reads_as_something_else_are_quoted() {
        let words = serde_json::json!({ "kind": "Words", "a": ["no", "on", "5", "0644", "1e3", "", "null", "0s", "2026-11-22"] });
        let yaml = to_yaml(&[words]).unwrap();
        let items: Vec<&str> = yaml.lines().skip(2).collect();
        let quoted = ["no", "on", "5", "0644", "1e3", "", "null"].map(|word| format!("- \"{word}\""));
        assert_eq!(items[..7], quoted);
        assert_eq!(items[7..], ["- 0s", "- \"2026-11-22\""]);
    }
}
