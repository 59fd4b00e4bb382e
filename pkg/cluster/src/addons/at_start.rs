//! Addons at a cluster's start: all that are enabled, each as its manifests are now.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

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
    refused: &'a Refused,
    reporter: &'a dyn Reporter,
}

/// Addons that a cluster did not take while it started, and that somebody has to be told of at the end.
#[derive(Default)]
pub(crate) struct Refused {
    /// The addons that this start was asked for.
    named: Vec<String>,
    errors: Mutex<Vec<AddonError>>,
}

impl Refused {
    /// Nothing yet, in a start that was asked for these.
    pub(crate) fn of(named: &[String]) -> Self {
        Self { named: named.to_vec(), errors: Mutex::default() }
    }

    fn errors(&self) -> MutexGuard<'_, Vec<AddonError>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, error: AddonError) {
        self.errors().push(error);
    }

    fn has(&self, addon: &str) -> bool {
        self.errors().iter().any(|error| addon_of(error) == Some(addon))
    }

    fn is_named(&self, error: &AddonError) -> bool {
        addon_of(error).is_some_and(|addon| self.named.iter().any(|named| named == addon))
    }

    /// What went wrong, if anything did.
    pub(crate) fn take(&self) -> Option<AddonError> {
        AddonError::all(std::mem::take(&mut *self.errors())).err()
    }
}

impl<'a> AtStart<'a> {
    /// Renders all that are enabled. One that cannot be is told and left out: the cluster is worth more
    /// than any of them.
    pub(crate) fn plan(
        catalog: &Catalog,
        file: &ClusterFile,
        spec: &ClusterSpec,
        context: &Context,
        refused: &'a Refused,
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
        Self { groups, asked, left_out, refused, reporter }
    }

    /// True if there will be a pod with an ordinary pod's DNS settings.
    pub(crate) fn has_storage(&self) -> bool {
        self.groups.iter().flatten().any(|rendered| rendered.name == STORAGE)
    }

    /// Those that every cluster has, with their inventories, for one that has nothing yet, as manifests.
    /// Where addons are to be spared, without those that [`Self::spared`] has.
    pub(crate) fn first(&self, spare: bool) -> String {
        manifests(self.usual().filter(|rendered| !(spare && can_wait(rendered))))
    }

    /// What is left of them for when the cluster is usable.
    pub(crate) fn spared(&self) -> String {
        manifests(self.usual().filter(|rendered| can_wait(rendered)))
    }

    /// Those that nobody asked for.
    fn usual(&self) -> impl Iterator<Item = &Rendered> {
        self.groups.iter().flatten().filter(|rendered| !self.is_asked(rendered))
    }

    fn is_asked(&self, addon: &Rendered) -> bool {
        self.asked.iter().any(|asked| asked.name == addon.name)
    }

    /// Brings those that somebody asked for into a new cluster, each by itself.
    pub(crate) async fn bring_asked<A: Objects>(&self, api: &A, patience: Duration) {
        self.bring(api, patience, |rendered| self.is_asked(rendered)).await;
    }

    /// Brings those that nobody asked for likewise, where together they could not be.
    pub(crate) async fn bring_usual<A: Objects>(&self, api: &A, patience: Duration) {
        self.bring(api, patience, |rendered| !self.is_asked(rendered)).await;
    }

    /// Each by itself, and after those that it requires. One that the cluster does not take is noted: it
    /// must not take the cluster with it.
    async fn bring<A: Objects>(&self, api: &A, patience: Duration, chosen: impl Fn(&Rendered) -> bool) {
        let manager = Manager::new(api, patience);
        let mut all: Vec<String> = self.groups.iter().flatten().map(|rendered| rendered.name.clone()).collect();
        all.extend(self.left_out.iter().cloned());
        for group in &self.groups {
            join_all(group.iter().filter(|rendered| chosen(rendered)).map(async |rendered| {
                match manager.reapply(&[vec![rendered.clone()]], &all).await {
                    Ok(left) => self.tell_left(&left),
                    Err(error) => self.refused.note(error),
                }
            }))
            .await;
        }
    }

    fn tell_left(&self, left: &[Left]) {
        left.iter().for_each(|left| self.reporter.warn(&left_alone(left)));
    }

    /// Applies all of them to a cluster that has some already, and takes out what is not among them. What
    /// cannot be done is told.
    pub(crate) async fn reapply<A: Objects>(&self, api: &A, patience: Duration) {
        match Manager::new(api, patience).reapply(&self.groups, &self.left_out).await {
            Ok(left) => self.tell_left(&left),
            Err(error) if self.refused.is_named(&error) => self.refused.note(error),
            Err(error) => self.reporter.warn(&chain(&error)),
        }
    }

    /// Waits for those that somebody asked for and the cluster took. One that does not work is told: the
    /// cluster itself does.
    pub(crate) async fn wait<A: Objects>(&self, api: &A, since: Option<SystemTime>, patience: Duration) {
        let manager = Manager::new(api, patience.min(LONGEST_WAIT));
        let there = self.asked.iter().filter(|rendered| !self.refused.has(&rendered.name));
        let waits = there.map(async |rendered| {
            if let Err(error) = manager.wait(rendered, since).await {
                let again = format!("`skiff addons status {}` tells how it goes on", rendered.name);
                self.reporter.warn(&format!("{}; {again}", chain(&error)));
            }
        });
        join_all(waits).await;
    }
}

/// Which addon it is that the API had trouble with.
fn addon_of(error: &AddonError) -> Option<&str> {
    match error {
        AddonError::Api { addon, .. } => Some(addon),
        _ => None,
    }
}

/// True if an addon that nobody asked for runs pods that the start itself does not wait for.
fn can_wait(addon: &Rendered) -> bool {
    addon.name != STORAGE && !addon.ready.is_empty()
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
