//! The flags that set something of an addon.

use std::time::Duration;

use skiff_cluster::{AddonRequest, AddonSetting, AddonSettings};

use crate::cli::duration::go_duration;

/// What can be set of an addon.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SettingsArgs {
    /// Sets a value of the addon; may be given more than once. ADDON.KEY=VALUE is for one of several.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<AddonSetting>,
    /// Other images, by the names that `addons images` shows.
    #[arg(long, value_name = "NAME=IMAGE", value_delimiter = ',', value_parser = setting)]
    images: Vec<AddonSetting>,
    /// Other registries for images, by the same names.
    #[arg(long, value_name = "NAME=REGISTRY", value_delimiter = ',', value_parser = setting)]
    registries: Vec<AddonSetting>,
    /// How long to wait until the addon works.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration)]
    wait_timeout: Duration,
}

/// The addons of a start, and what can be set of them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddonArgs {
    /// Addons to enable, such as ingress,metrics-server; `skiff addons list` shows all.
    #[arg(long, value_name = "ADDONS", value_delimiter = ',', help_heading = "Addons")]
    addons: Vec<String>,
    /// Sets a value of the addons that --addons names, or of one that is on: registry.size=5Gi.
    #[arg(long, value_name = "[ADDON.]KEY=VALUE", value_parser = setting, help_heading = "Addons")]
    set: Vec<AddonSetting>,
    /// Other images for them, by the names that `addons images` shows.
    #[arg(long, value_name = "[ADDON.]NAME=IMAGE", value_delimiter = ',', value_parser = setting)]
    #[arg(help_heading = "Addons")]
    images: Vec<AddonSetting>,
    /// Other registries for their images, by the same names.
    #[arg(long, value_name = "[ADDON.]NAME=REGISTRY", value_delimiter = ',', value_parser = setting)]
    #[arg(help_heading = "Addons")]
    registries: Vec<AddonSetting>,
}

impl AddonArgs {
    /// The addons to enable, and what to set.
    pub(crate) fn into_parts(self) -> (Vec<String>, AddonSettings) {
        let Self { addons, set, images, registries } = self;
        (addons, AddonSettings { values: set, images, registries })
    }
}

/// `KEY=VALUE`, or `ADDON.KEY=VALUE`: neither addons nor what they take have a dot in their names.
fn setting(text: &str) -> Result<AddonSetting, String> {
    let (key, value) = text.split_once('=').unwrap_or_default();
    let (addon, name) = match key.split_once('.') {
        Some((addon, name)) => (Some(addon), name),
        None => (None, key),
    };
    if name.is_empty() || addon.is_some_and(str::is_empty) {
        return Err("write it like key=value".to_owned());
    }
    Ok(AddonSetting { addon: addon.map(str::to_owned), name: name.to_owned(), value: value.to_owned() })
}

impl SettingsArgs {
    pub(super) fn into_request(self, names: Vec<String>, force: bool) -> AddonRequest {
        let Self { set, images, registries, wait_timeout } = self;
        let settings = AddonSettings { values: set, images, registries };
        AddonRequest { names, settings, force, refresh: false, patience: wait_timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_for_one_addon_or_for_all() {
        let read = |text: &str| setting(text).map(|it| (it.addon, it.name, it.value));
        assert_eq!(read("port=80"), Ok((None, "port".into(), "80".into())));
        assert_eq!(read("title=a=b.c"), Ok((None, "title".into(), "a=b.c".into())));
        assert_eq!(read("web.port="), Ok((Some("web".into()), "port".into(), String::new())));
        for wrong in ["port", "=80", ".port=80", "web.=80", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
