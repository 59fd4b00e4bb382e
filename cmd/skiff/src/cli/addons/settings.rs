//! The flags that set something of an addon.

use std::{collections::BTreeMap, time::Duration};

use skiff_cluster::AddonRequest;

use crate::cli::start::go_duration;

/// What can be set of an addon.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SettingsArgs {
    /// Sets a value of the addon; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Other images, by the names that `addons images` shows.
    #[arg(long, value_name = "NAME=IMAGE", value_delimiter = ',', value_parser = pair)]
    images: Vec<(String, String)>,
    /// Other registries for images, by the same names.
    #[arg(long, value_name = "NAME=REGISTRY", value_delimiter = ',', value_parser = pair)]
    registries: Vec<(String, String)>,
    /// How long to wait until the addon works.
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = go_duration)]
    wait_timeout: Duration,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it like key=value".to_owned()),
    }
}

impl SettingsArgs {
    pub(super) fn into_request(self, names: Vec<String>, force: bool) -> AddonRequest {
        let map = |pairs: Vec<(String, String)>| pairs.into_iter().collect::<BTreeMap<_, _>>();
        AddonRequest {
            names,
            values: map(self.set),
            images: map(self.images),
            registries: map(self.registries),
            force,
            refresh: false,
            patience: self.wait_timeout,
        }
    }
}
