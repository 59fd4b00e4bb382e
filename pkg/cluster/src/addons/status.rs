//! How addons are doing.

use std::time::Duration;

use futures_util::future::try_join_all;
use skiff_addons::{Manager, Verdict};
use skiff_config::ClusterName;
use skiff_driver::Driver;
use skiff_report::chain;

use super::{disable::wish_of, target};
use crate::{ClusterError, ConnectApi, Host};

/// How long an addon may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// How one addon is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonState {
    /// The addon.
    pub name: String,
    /// Whether it is wanted.
    pub enabled: bool,
    /// `Running`, `Stopped`, `Error`, `Changing` or `Nonexistent`.
    pub state: &'static str,
    /// What is wrong; empty if nothing is.
    pub message: String,
}

/// How addons are doing: those named, or all that are enabled.
///
/// # Errors
/// No such cluster or addon, or an API server that does not answer.
pub async fn addon_states<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    names: &[String],
) -> Result<Vec<AddonState>, ClusterError> {
    let catalog = &*host.catalog;
    let (file, spec) = target::load(host, cluster)?;
    let named = names.iter().map(|name| catalog.find(name)).collect::<Result<Vec<_>, _>>()?;
    let addons = if names.is_empty() { catalog.enabled(&file.addons) } else { named };
    let target = target::reach(host, &file, &spec).await?;
    let states = addons.into_iter().map(async |addon| {
        let name = addon.name.clone();
        let enabled = catalog.is_enabled(&name, &file.addons);
        let Some(target) = &target else {
            return Ok(AddonState { name, enabled, state: "Stopped", message: String::new() });
        };
        let rendered = addon.render(&wish_of(&file, &name), &target.context)?;
        let (state, message) = match Manager::new(&target.api, PATIENCE).verdict(&rendered).await? {
            Verdict::Absent => ("Nonexistent", String::new()),
            Verdict::Unsettled => ("Changing", "a change of it was cut off, or goes on".to_owned()),
            Verdict::Working => ("Running", String::new()),
            Verdict::Broken(error) => ("Error", chain(&error)),
        };
        Ok::<_, ClusterError>(AddonState { name, enabled, state, message })
    });
    try_join_all(states).await
}
