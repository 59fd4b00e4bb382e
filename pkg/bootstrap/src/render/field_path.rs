//! Settings by dotted path: `evictionHard.memory.available=200Mi`.

use serde_json::{Map, Value};

/// What the type of a value cannot be told from its text for. Paths are full.
pub(super) struct Schema {
    /// Maps of texts, whose keys may hold dots.
    pub(super) text_maps: &'static [&'static str],
    /// Fields that are text even where it looks like a number.
    pub(super) texts: &'static [&'static str],
    /// Lists of texts, given with commas in between.
    pub(super) lists: &'static [&'static str],
}

/// Sets the field at `path`. On failure the message says what is in the way.
pub(super) fn set(document: &mut Value, schema: &Schema, path: &str, text: &str) -> Result<(), String> {
    let (parents, last) = split(schema, path)?;
    let mut at = document;
    for (depth, name) in parents.iter().enumerate() {
        let Value::Object(map) = at else {
            return Err(format!("`{}` has no fields", parents[..depth].join(".")));
        };
        at = map.entry(*name).or_insert_with(|| Map::new().into());
    }
    let Value::Object(map) = at else {
        return Err(format!("`{}` has no fields", parents.join(".")));
    };
    let value = typed(schema, path, text)?;
    match map.get(last) {
        Some(Value::Object(_)) if !value.is_object() => {
            Err(format!("`{path}` has fields of its own: set one of them, as in {path}.NAME=VALUE"))
        }
        _ if path == "apiVersion" || path == "kind" => Err(format!("`{path}` is not a setting")),
        _ => {
            map.insert(last.to_owned(), value);
            Ok(())
        }
    }
}

/// The names above the field, and the field's own.
fn split<'a>(schema: &Schema, path: &'a str) -> Result<(Vec<&'a str>, &'a str), String> {
    if path.split('.').any(str::is_empty) {
        return Err(format!("`{path}` is not a path of fields"));
    }
    if let Some((first, rest)) = path.split_once('.')
        && schema.text_maps.contains(&first)
    {
        return Ok((vec![first], rest));
    }
    let mut names: Vec<&str> = path.split('.').collect();
    let last = names.pop().ok_or_else(|| format!("`{path}` is not a path of fields"))?;
    Ok((names, last))
}

/// The value that a text stands for.
fn typed(schema: &Schema, path: &str, text: &str) -> Result<Value, String> {
    let first = path.split('.').next().unwrap_or_default();
    if text.starts_with(['[', '{', '"']) {
        return serde_json::from_str(text).map_err(|error| format!("`{text}` is not valid JSON ({error})"));
    }
    if schema.lists.contains(&path) {
        return Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect());
    }
    if schema.texts.contains(&path) || (path != first && schema.text_maps.contains(&first)) {
        return Ok(text.into());
    }
    Ok(match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => number(text).unwrap_or_else(|| text.into()),
    })
}

/// Plain decimal numbers only: `1e3` or `0x10` are more likely to be text.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    match text.parse::<i64>() {
        Ok(whole) if !leading_zero => Some(whole.into()),
        _ if leading_zero || digits.starts_with('.') || digits.ends_with('.') => None,
        _ => text.parse::<f64>().ok().map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: Schema = Schema {
        text_maps: &["evictionHard", "systemReserved"],
        texts: &["reserved"],
        lists: &["dns", "ipvs.exclude"],
    };

    fn after(path: &str, text: &str) -> Result<Value, String> {
        let mut document = json!({ "kind": "K", "auth": { "anonymous": { "enabled": false } }, "failSwapOn": false });
        set(&mut document, &SCHEMA, path, text).map(|()| document)
    }

    #[test]
    fn values_get_the_type_they_look_like() {
        let table = [
            ("true", json!(true)),
            ("false", json!(false)),
            ("50", json!(50)),
            ("-1", json!(-1)),
            ("0.5", json!(0.5)),
            ("1.2.3.4", json!("1.2.3.4")),
            ("0644", json!("0644")),
            ("10s", json!("10s")),
            ("", json!("")),
            ("\"50\"", json!("50")),
            ("[1,2]", json!([1, 2])),
        ];
        for (text, value) in table {
            assert_eq!(after("field", text).unwrap()["field"], value, "{text}");
        }
    }

    #[test]
    fn fields_keep_their_own_type_where_the_text_misleads() {
        assert_eq!(
            after("evictionHard.memory.available", "200").unwrap()["evictionHard"],
            json!({ "memory.available": "200" })
        );
        assert_eq!(
            after("systemReserved.ephemeral-storage", "1").unwrap()["systemReserved"],
            json!({ "ephemeral-storage": "1" })
        );
        assert_eq!(after("reserved", "0").unwrap()["reserved"], json!("0"));
        assert_eq!(after("dns", "10.0.0.1,10.0.0.2").unwrap()["dns"], json!(["10.0.0.1", "10.0.0.2"]));
        assert_eq!(after("ipvs.exclude", "10.0.0.0/8").unwrap()["ipvs"], json!({ "exclude": ["10.0.0.0/8"] }));
    }

    #[test]
    fn nested_fields_are_found_or_made() {
        let document = after("auth.anonymous.enabled", "true").unwrap();
        assert_eq!(document["auth"], json!({ "anonymous": { "enabled": true } }));
        assert_eq!(after("a.b.c", "1").unwrap()["a"], json!({ "b": { "c": 1 } }));
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        let table = [
            ("failSwapOn.x", "1", "`failSwapOn` has no fields"),
            ("auth.anonymous", "true", "`auth.anonymous` has fields of its own"),
            ("a..b", "1", "`a..b` is not a path of fields"),
            ("kind", "Other", "`kind` is not a setting"),
            ("field", "[1,", "`[1,` is not valid JSON"),
        ];
        for (path, text, message) in table {
            let error = after(path, text).unwrap_err();
            assert!(error.starts_with(message), "{path}={text}: {error}");
        }
    }
}
