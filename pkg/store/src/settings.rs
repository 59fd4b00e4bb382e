//! The defaults a user set with `skiff config`.

use std::collections::BTreeMap;

use serde_yaml::Value;

/// Defaults by name, as text; what a value means is up to the setting of that name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub BTreeMap<String, String>);

impl Settings {
    /// The value of one setting.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Reads the file's text. People edit it, so numbers, booleans and lists are welcome.
    pub(crate) fn from_yaml(text: &str) -> Result<Self, String> {
        let file: Option<BTreeMap<String, Value>> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let entries = file.unwrap_or_default().into_iter().map(|(key, value)| {
            let value = plain(&value).ok_or_else(|| format!("the value of `{key}` is neither a word nor a list"))?;
            Ok((key, value))
        });
        entries.collect::<Result<_, String>>().map(Self)
    }

    pub(crate) fn to_yaml(&self) -> Result<String, String> {
        serde_yaml::to_string(&self.0).map_err(|error| error.to_string())
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Sequence(items) => Some(items.iter().map(plain).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_written_values_are_read_as_text() {
        let settings =
            Settings::from_yaml("memory: 4096\nkeep-context: true\nports: [a, 1]\ndriver: docker\n").unwrap();
        let get = |key| settings.get(key).unwrap();
        assert_eq!(
            (get("memory"), get("keep-context"), get("ports"), get("driver")),
            ("4096", "true", "a,1", "docker")
        );
        assert_eq!(Settings::from_yaml("").unwrap(), Settings::default());
        assert_eq!(Settings::from_yaml("# nothing\n").unwrap(), Settings::default());
    }

    #[test]
    fn every_text_survives_being_stored() {
        let odd = ["yes", "0x10", "1e3", "a: b", "", "null", " x ", "multi\nline", "'", "#", "ü"];
        let settings = Settings(odd.iter().map(|value| (format!("key-{value}"), (*value).to_owned())).collect());
        assert_eq!(Settings::from_yaml(&settings.to_yaml().unwrap()).unwrap(), settings);
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for bad in ["[]", "a: {b: c}", "a: b: c", "just text"] {
            assert!(Settings::from_yaml(bad).is_err(), "{bad}");
        }
    }
}
