//! The user's settings: `config/config.yaml` in skiff's home.
//!
//! A key is a flag without its dashes. Values are checked by the flag's own parser, so the file
//! cannot say anything that a command line could not.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_yaml::{Mapping, Value};
use skiff_config::ClusterName;
use skiff_report::ExitCode;

use crate::{cli, failure::Failure};

/// The key that names the active profile.
pub(crate) const PROFILE: &str = "profile";

/// The settings, as text. A list in the file is the flag given several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// No settings; the file will be at `path` when something is set.
    pub(crate) fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), values: BTreeMap::new() }
    }

    /// Reads the file and checks every value. No file is the same as an empty one.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::none(path)),
            Err(error) => return Err(unreadable(path, &error.to_string())),
        };
        let settings = Self { path: path.to_owned(), values: read(&text).map_err(|why| unreadable(path, &why))? };
        let problems: Vec<String> = settings.problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(unreadable(path, "not every setting in it is valid").with_details(problems))
        }
    }

    fn problems(&self) -> Vec<String> {
        let check =
            |(key, values): (&String, &Vec<String>)| cli::check_setting(key, values).err().map(|f| f.full_message());
        self.values.iter().filter_map(check).collect()
    }

    /// The values of a setting, if it is set.
    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// All settings, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.values.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// Sets a value that was checked before.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.values.insert(key.to_owned(), vec![value.to_owned()]);
    }

    /// Removes a setting; false if there was none.
    pub(crate) fn unset(&mut self, key: &str) -> bool {
        self.values.remove(key).is_some()
    }

    /// Name of the active profile.
    pub(crate) fn profile(&self) -> &str {
        self.get(PROFILE).and_then(<[String]>::first).map_or(ClusterName::DEFAULT, String::as_str)
    }

    /// Writes the file: a reader sees the old one or the new one, never half of it.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        self.write().map_err(|error| {
            Failure::new(
                "HOST_CONFIG_SAVE",
                ExitCode::HOST_CONFIG,
                format!("cannot write {}: {error}", self.path.display()),
                "Check who owns the folder and whether its disk is full.",
            )
        })
    }

    fn write(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(serde_yaml::to_string(&self.to_yaml()).map_err(io::Error::other)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    fn to_yaml(&self) -> Mapping {
        let text = |text: &String| Value::String(text.clone());
        let value = |values: &Vec<String>| match values.as_slice() {
            [one] => text(one),
            many => Value::Sequence(many.iter().map(text).collect()),
        };
        self.values.iter().map(|(key, values)| (text(key), value(values))).collect()
    }
}

fn read(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let file: Option<Mapping> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let mut values = BTreeMap::new();
    for (key, value) in file.unwrap_or_default() {
        let key = key.as_str().ok_or("a key is not text")?.to_owned();
        let list = match value {
            Value::Sequence(items) => items.iter().map(|item| scalar(&key, item)).collect::<Result<_, _>>()?,
            Value::Null => continue,
            one => vec![scalar(&key, &one)?],
        };
        values.insert(key, list);
    }
    Ok(values)
}

fn scalar(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        // YAML reads 1.20 as the number 1.2, which is another version.
        Value::Number(_) if key == "kubernetes-version" => Err(format!("`{key}` is a number: put it in quotes")),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("`{key}` is neither text nor a list of text")),
    }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(
        "HOST_CONFIG_LOAD",
        ExitCode::HOST_CONFIG,
        format!("cannot use the settings file {}: {why}", path.display()),
        "Correct the file, or remove it to go back to skiff's defaults.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config").join("config.yaml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn values_of_every_yaml_type_are_read_as_a_flag_would_be() {
        let (_folder, path) = file("memory: 4096\nkeep: true\nports: ['80:80', '443:443']\nprofile: dev\ncpus: 1.5\n");
        let settings = Settings::load(&path).unwrap();
        assert_eq!(settings.get("memory").unwrap(), ["4096"]);
        assert_eq!(settings.get("keep").unwrap(), ["true"]);
        assert_eq!(settings.get("ports").unwrap(), ["80:80", "443:443"]);
        assert_eq!((settings.profile(), settings.get("driver")), ("dev", None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_folder, path) = file("");
        let mut settings = Settings::load(&path).unwrap();
        settings.set("kubernetes-version", "1.20");
        settings.set("keep", "true");
        assert!(!settings.unset("memory"));
        settings.save().unwrap();
        assert_eq!(Settings::load(&path).unwrap(), settings);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_every_problem() {
        for (text, part) in [
            ("memory: [", "config.yaml"),
            ("kubernetes-version: 1.20", "put it in quotes"),
            ("memory: {a: b}", "neither text nor a list"),
        ] {
            let (_folder, path) = file(text);
            let failure = Settings::load(&path).unwrap_err();
            assert_eq!((failure.id, failure.exit), ("HOST_CONFIG_LOAD", ExitCode::HOST_CONFIG));
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        let (_folder, path) = file("memroy: 4g\ncpus: many\nwait-timeout: soon\n");
        let failure = Settings::load(&path).unwrap_err();
        assert_eq!(failure.details.len(), 3, "{:?}", failure.details);
    }
}
