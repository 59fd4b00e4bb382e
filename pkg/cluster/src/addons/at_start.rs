//! Addons at a cluster's start: all that are enabled, each as its manifests are now.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use skiff_addons::{AddonError, Catalog, Context, Left, Manager, Objects, Rendered, in_order};
use skiff_config::{AddonWish, ClusterFile, ClusterSpec, Problem};
use skiff_report::{Diagnose, ExitCode, Reporter, chain};

use super::{
    AddonRequest,
    wanted::{Wanted, supported, wanted},
};
use crate::{ClusterError, StartOptions};

/// Pods of this addon have an ordinary pod's DNS settings.
const STORAGE: &str = "storage-provisioner";
/// The longest that a start waits for an addon: it is the cluster that was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Adds the wishes of this start to those that are stored.
pub(crate) fn want(
    file: &mut ClusterFile,
    spec: &ClusterSpec,
    catalog: &Catalog,
    options: &StartOptions,
) -> Result<(), ClusterError> {
    let StartOptions { addons, addon_settings, .. } = options.clone();
    let request = AddonRequest { names: addons, settings: addon_settings, ..AddonRequest::default() };
    let wishes: Vec<(String, AddonWish)> = wanted(catalog, &file.addons, &request, spec)
        .map_err(|error| ClusterError::Settings { problems: problems(&error) })?
        .into_iter()
        .map(|Wanted { addon, wish, .. }| (addon.name.clone(), wish))
        .collect();
    file.addons.extend(wishes);
    Ok(())
}

/// As settings among the others of a start: one a problem.
fn problems(error: &AddonError) -> Vec<Problem> {
    let messages = match error {
        AddonError::Several { errors } => return errors.iter().flat_map(problems).collect(),
        AddonError::Settings { addon, problems } => problems.iter().map(|it| format!("{addon}: {it}")).collect(),
        other => vec![format!("{other} ({})", other.reason().advice.trim_end_matches('.'))],
    };
    let problem = |message| Problem { setting: "addons", message, id: "MK_USAGE", exit: ExitCode::PROGRAM_USAGE };
    messages.into_iter().map(problem).collect()
}

/// The enabled addons of a cluster that starts.
pub(crate) struct AtStart<'a> {
    groups: Vec<Vec<Rendered>>,
    /// Those that are waited for.
    asked: Vec<Rendered>,
    /// Those that are wanted and cannot be rendered.
    left_out: Vec<String>,
    reporter: &'a dyn Reporter,
}

impl<'a> AtStart<'a> {
    /// Renders all that are enabled. One that cannot be is told and left out: the cluster is worth more
    /// than any of them.
    pub(crate) fn plan(
        catalog: &Catalog,
        file: &ClusterFile,
        spec: &ClusterSpec,
        context: &Context,
        reporter: &'a dyn Reporter,
    ) -> Self {
        let none = AddonWish::default();
        let (mut groups, mut asked, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for group in in_order(&catalog.enabled(&file.addons)) {
            let mut rendered_group = Vec::new();
            for addon in group {
                let wish = file.addons.get(&addon.name).unwrap_or(&none);
                match supported(addon, spec).and_then(|()| addon.render(wish, context)) {
                    Ok(rendered) => {
                        if !addon.default {
                            asked.push(rendered.clone());
                        }
                        rendered_group.push(rendered);
                    }
                    Err(error) => {
                        reporter.warn(&format!("{}; it is left as it is", chain(&error)));
                        left_out.push(addon.name.clone());
                    }
                }
            }
            groups.push(rendered_group);
        }
        for name in file.addons.keys().filter(|name| catalog.is_enabled(name, &file.addons)) {
            if let Err(error) = catalog.find(name) {
                reporter.warn(&format!("{error}; it was enabled, and is left as it is"));
                left_out.push(name.clone());
            }
        }
        Self { groups, asked, left_out, reporter }
    }

    /// True if there will be a pod with an ordinary pod's DNS settings.
    pub(crate) fn has_storage(&self) -> bool {
        self.groups.iter().flatten().any(|rendered| rendered.name == STORAGE)
    }

    /// All objects with their inventories, for a cluster that has nothing yet, as manifests. Where addons
    /// are to be spared, without those that [`Self::spared`] has.
    pub(crate) fn first(&self, spare: bool) -> String {
        manifests(self.groups.iter().flatten().filter(|rendered| !(spare && self.can_wait(rendered))))
    }

    /// What is left of them for when the cluster is usable.
    pub(crate) fn spared(&self) -> String {
        manifests(self.groups.iter().flatten().filter(|rendered| self.can_wait(rendered)))
    }

    /// True if it runs pods, and neither the user nor the start itself waits for them.
    fn can_wait(&self, addon: &Rendered) -> bool {
        let asked = self.asked.iter().any(|asked| asked.name == addon.name);
        !asked && addon.name != STORAGE && !addon.ready.is_empty()
    }

    /// Applies all of them to a cluster that has some already, and takes out what is not among them. What
    /// cannot be done is told.
    pub(crate) async fn reapply<A: Objects>(&self, api: &A, patience: Duration) {
        match Manager::new(api, patience).reapply(&self.groups, &self.left_out).await {
            Ok(left) => left.iter().for_each(|left| self.reporter.warn(&left_alone(left))),
            Err(error) => self.reporter.warn(&chain(&error)),
        }
    }

    /// Waits for those that somebody asked for. One that does not work is told: the cluster itself does.
    pub(crate) async fn wait<A: Objects>(&self, api: &A, since: Option<SystemTime>, patience: Duration) {
        let manager = Manager::new(api, patience.min(LONGEST_WAIT));
        let waits = self.asked.iter().map(async |rendered| {
            if let Err(error) = manager.wait(rendered, since).await {
                let again = format!("`skiff addons status {}` tells how it goes on", rendered.name);
                self.reporter.warn(&format!("{}; {again}", chain(&error)));
            }
        });
        join_all(waits).await;
    }
}

/// The objects of new addons, with their inventories.
fn manifests<'a>(addons: impl Iterator<Item = &'a Rendered>) -> String {
    let objects = addons.flat_map(Rendered::first);
    // JSON is YAML.
    objects.map(|object| object.body().to_string()).collect::<Vec<_>>().join("\n---\n")
}

fn left_alone(Left { addon, held }: &Left) -> String {
    let owners: Vec<String> = held.owners.iter().map(ToString::to_string).collect();
    format!(
        "{} of addon {addon} is left as it is, because {}; `skiff addons enable {addon} --force` takes it over",
        held.object,
        owners.join(", ")
    )
}
