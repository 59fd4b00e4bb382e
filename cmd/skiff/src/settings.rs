//! The user's settings: the defaults that `skiff config` keeps in the skiff home.
//!
//! A key is a flag without its dashes. Values are checked by the flag's own parser, so the file
//! cannot say anything that a command line could not.

use std::{collections::BTreeMap, path::Path};

use skiff_config::{ClusterName, ExtraConfig};
use skiff_report::ExitCode;
use skiff_store::Store;

use crate::{cli, failure::Failure};

/// The key that names the active profile.
pub(crate) const PROFILE: &str = "profile";
/// The flag that takes no list, because commas may be part of its values.
const EXTRA_CONFIG: &str = "extra-config";

/// The settings, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the file of a skiff home and checks every value. Where there is no home there are no
    /// settings; none is made.
    pub(crate) fn load(home: &Path) -> Result<Self, Failure> {
        let settings = Self::as_written(home)?;
        let problems = settings.problems();
        if problems.is_empty() { Ok(settings) } else { Err(unusable(home).with_details(problems)) }
    }

    /// Reads the file and takes every value as it is.
    pub(crate) fn as_written(home: &Path) -> Result<Self, Failure> {
        if !home.exists() {
            return Ok(Self::default());
        }
        Ok(Self { values: Store::open(home)?.settings()?.0 })
    }

    fn problems(&self) -> Vec<String> {
        let check = |(key, value): (&String, &String)| cli::check_setting(key, value).err();
        self.values.iter().filter_map(check).map(|failure| failure.full_message()).collect()
    }

    /// The value of a setting, if it is set.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All settings, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Name of the active profile.
    pub(crate) fn profile(&self) -> &str {
        self.get(PROFILE).unwrap_or(ClusterName::DEFAULT)
    }
}

/// A setting as the flags that mean the same.
pub(crate) fn as_flags(key: &str, value: &str) -> Vec<String> {
    let flag = |value: &str| format!("--{key}={value}");
    if key != EXTRA_CONFIG {
        return vec![flag(value)];
    }
    // What follows a comma is a setting of its own if it reads like one.
    let mut flags: Vec<String> = Vec::new();
    for piece in value.split(',') {
        match flags.last_mut() {
            Some(last) if piece.parse::<ExtraConfig>().is_err() => {
                last.push(',');
                last.push_str(piece);
            }
            _ => flags.push(flag(piece)),
        }
    }
    flags
}

fn unusable(home: &Path) -> Failure {
    let file = home.join("config").join("config.yaml");
    Failure::new(
        "HOST_CONFIG_LOAD",
        ExitCode::HOST_CONFIG,
        format!("the settings file {} holds what cannot be used", file.display()),
        "Correct the file; `skiff config unset` removes a setting.",
    )
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Settings {
    fn from(values: [(&str, &str); N]) -> Self {
        Self { values: values.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn home_with(text: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("config")).unwrap();
        fs::write(home.path().join("config/config.yaml"), text).unwrap();
        home
    }

    #[test]
    fn no_home_means_no_settings_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        assert_eq!(Settings::load(&home).unwrap(), Settings::default());
        assert!(!home.exists());
    }

    #[test]
    fn settings_are_read_as_flags_would_be() {
        let home = home_with("memory: 4096\nkeep: true\nports: ['80:80', '443:443']\nprofile: dev\n");
        let settings = Settings::load(home.path()).unwrap();
        assert_eq!((settings.get("memory"), settings.get("keep")), (Some("4096"), Some("true")));
        assert_eq!(settings.get("ports"), Some("80:80,443:443"));
        assert_eq!((settings.profile(), settings.get("driver")), ("dev", None));
    }

    #[test]
    fn commas_within_extra_config_survive() {
        let flags = as_flags("extra-config", "apiserver.enable-admission-plugins=A,B,kubelet.max-pods=20");
        let expected = ["--extra-config=apiserver.enable-admission-plugins=A,B", "--extra-config=kubelet.max-pods=20"];
        assert_eq!(flags, expected);
        assert_eq!(as_flags("ports", "1:1,2:2"), ["--ports=1:1,2:2"]);
    }

    #[test]
    fn every_setting_that_cannot_be_used_is_told() {
        let home = home_with("memroy: 4g\ncpus: many\nwait-timeout: soon\n");
        let failure = Settings::load(home.path()).unwrap_err();
        assert_eq!((failure.id, failure.exit), ("HOST_CONFIG_LOAD", ExitCode::HOST_CONFIG));
        assert_eq!(failure.details.len(), 3, "{:?}", failure.details);
    }
}
