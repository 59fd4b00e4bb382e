//! Which labels a selector means.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Whether labels are meant. A selector that asks for nothing means all, one that makes no sense means none.
pub(super) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let none = Labels::new();
    let labels = labels.unwrap_or(&none);
    let same = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    same && selector.match_expressions.iter().flatten().all(|wish| holds(wish, labels))
}

fn holds(wish: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&wish.key);
    let listed = value.is_some_and(|value| wish.values.iter().flatten().any(|one| one == value));
    match wish.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_a_selector_asks_for_must_hold() {
        let labels: Labels = [("a".to_owned(), "1".to_owned())].into();
        let wish = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, expected) in [
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (wish("In", "a", &["1", "2"]), true),
            (wish("NotIn", "a", &["1"]), false),
            (wish("NotIn", "b", &["1"]), true),
            (wish("Exists", "a", &[]), true),
            (wish("DoesNotExist", "a", &[]), false),
            (wish("Like", "a", &[]), false),
        ] {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&parsed, Some(&labels)), expected, "{selector}");
        }
    }
}
