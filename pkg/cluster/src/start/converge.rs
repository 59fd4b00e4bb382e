//! What it takes to bring a cluster to what a manifest says, from the files alone.

use std::fmt;

use skiff_config::{ClusterFile, ClusterName, Manifest, NodeName, Phase, SpecFile};
use skiff_store::Store;

use super::{Before, plan};
use crate::ClusterError;

/// What a change does to a cluster that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// It goes on meanwhile.
    Live,
    /// Its nodes are made anew on their data, and are away for as long.
    Restart,
    /// Only a new cluster can have it.
    Recreate,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Restart => "needs restart",
            Self::Recreate => "needs recreate",
        })
    }
}

impl Impact {
    /// What a change of a setting does, `setting` as in files. Limits change live where the driver can.
    #[must_use]
    pub fn of(setting: &str, live_resize: bool) -> Self {
        match setting {
            "autoPauseInterval" => Self::Live,
            "cpus" | "memory" if live_resize => Self::Live,
            _ => Self::Restart,
        }
    }
}

/// One difference between a cluster and its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it does.
    pub impact: Impact,
    /// The setting, as manifests have it.
    pub setting: String,
    /// What it is.
    pub from: String,
    /// What it would be.
    pub to: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convergence {
    /// What there is.
    pub before: Before,
    /// What differs; for a cluster that is not there, everything that was asked.
    pub changes: Vec<Change>,
    /// What a start has to be given.
    pub given: SpecFile,
    /// Workers to add.
    pub add: u32,
    /// Workers to delete, the newest first.
    pub delete: Vec<NodeName>,
    /// Addons to disable.
    pub disable: Vec<String>,
}

/// What a manifest is carried out on.
#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// What settings are where nobody says anything.
    pub defaults: SpecFile,
    /// Whether the driver can change the limits of nodes that run.
    pub live_resize: bool,
}

/// Plans the way from what there is to what a manifest says. A setting that it leaves out goes back to
/// its default, if that can be; what only a new cluster can have stays, and so do the version and, if it
/// names none, addons.
///
/// # Errors
/// When it asks for what cannot be, or the profile is damaged.
pub fn converge(
    store: &Store,
    name: &ClusterName,
    manifest: &Manifest,
    ground: &Ground,
) -> Result<Convergence, ClusterError> {
    let stored = store.load(name)?;
    let mut given = manifest.spec.clone();
    let Some(file) = stored.clone().filter(|file| file.status.phase == Phase::Created) else {
        let before = if stored.is_some() { Before::Leftovers } else { Before::Nothing };
        plan::resolve(name, stored, given.clone(), SpecFile::default())?;
        let asked = manifest.spec.differences(&SpecFile::default()).into_iter();
        let changes = asked.map(|(setting, (to, _))| Change { impact: Impact::Live, setting, from: String::new(), to });
        return Ok(Convergence {
            before,
            changes: changes.collect(),
            given,
            add: 0,
            delete: Vec::new(),
            disable: Vec::new(),
        });
    };
    given = given.in_place_of(&file.spec, ground.defaults.clone());
    let disable = unwanted(&file, manifest.addons.as_deref());
    let nodes = &file.status.nodes;
    // Nodes come and go by themselves; to a start their number is a thing of the past.
    let wanted: Option<usize> = given.nodes.take().and_then(|count| count.parse().ok());
    let (add, delete) = match wanted {
        Some(count) if count > nodes.len() => (u32::try_from(count - nodes.len()).unwrap_or(u32::MAX), Vec::new()),
        Some(count) => {
            let workers = nodes.iter().rev().filter(|node| node.apiserver_port.is_none());
            (0, workers.take(nodes.len() - count).map(|node| node.name.clone()).collect())
        }
        None => (0, Vec::new()),
    };
    let there = nodes.len();
    let resolved = plan::resolve(name, stored, given.clone(), SpecFile::default())?;
    let before = resolved.previous.unwrap_or_default();
    let changed = resolved.file.spec.real_differences(&before).into_iter();
    let mut changes: Vec<Change> = changed
        .map(|(setting, (to, from))| Change { impact: Impact::of(&setting, ground.live_resize), setting, from, to })
        .collect();
    changes.extend(resolved.refused.into_iter().map(|refused| Change {
        impact: Impact::Recreate,
        setting: refused.setting.to_owned(),
        from: refused.kept,
        to: refused.wanted,
    }));
    if let Some(count) = wanted.filter(|count| *count != there) {
        // What are left are control planes, which are not taken away by a number.
        let impact = if add == 0 && delete.len() < there - count.min(there) { Impact::Recreate } else { Impact::Live };
        changes.push(Change { impact, setting: "nodes".to_owned(), from: there.to_string(), to: count.to_string() });
    }
    changes.sort_by(|one, other| (one.impact, &one.setting).cmp(&(other.impact, &other.setting)));
    Ok(Convergence { before: Before::Cluster, changes, given, add, delete, disable })
}

/// The addons that somebody enabled and a manifest which lists addons does not name.
fn unwanted(file: &ClusterFile, listed: Option<&[String]>) -> Vec<String> {
    let Some(listed) = listed else { return Vec::new() };
    let on = file.addons.iter().filter(|(_, wish)| wish.enabled == Some(true)).map(|(name, _)| name);
    on.filter(|name| !listed.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use skiff_config::{AddonWish, NodeRecord};

    use super::*;

    fn record(index: u32, control_plane: bool) -> NodeRecord {
        let port = control_plane.then_some(20_000);
        let text = format!(
            "{{name: {}, role: x, index: {index}, address: 10.0.0.{}, sshPort: 1, apiserverPort: {}, image: x}}",
            if index == 0 { "dev".to_owned() } else { format!("dev-m{:02}", index + 1) },
            index + 2,
            port.map_or("null".to_owned(), |port| port.to_string()),
        );
        serde_yaml::from_str(&text).unwrap()
    }

    /// What has to be done with a cluster of some planes and workers, made with 2g.
    fn plan(planes: u32, workers: u32, change: impl FnOnce(&mut SpecFile)) -> Convergence {
        plan_with(planes, workers, None, |spec| {
            spec.memory = Some("2g".into());
            change(spec);
        })
    }

    fn plan_with(
        planes: u32,
        workers: u32,
        addons: Option<Vec<String>>,
        change: impl FnOnce(&mut SpecFile),
    ) -> Convergence {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name: ClusterName = "dev".parse().unwrap();
        let mut file = ClusterFile::new(name.clone(), SpecFile { memory: Some("2g".into()), ..SpecFile::default() });
        if planes > 0 {
            file.status.phase = Phase::Created;
            file.status.nodes = (0..planes + workers).map(|index| record(index, index < planes)).collect();
            file.addons.insert("ingress".into(), AddonWish { enabled: Some(true), ..AddonWish::default() });
            file.addons.insert("storage-provisioner".into(), AddonWish::default());
            file.spec.nodes = Some((planes + workers).to_string());
            store.save(&file).unwrap();
        }
        let mut spec = SpecFile::default();
        change(&mut spec);
        let manifest = Manifest { name: None, spec, addons, notes: Vec::new() };
        converge(&store, &name, &manifest, &Ground { live_resize: true, ..Ground::default() }).unwrap()
    }

    fn shown(plan: &Convergence) -> Vec<String> {
        plan.changes
            .iter()
            .map(|Change { impact, setting, from, to }| format!("{impact}: {setting} {from} -> {to}"))
            .collect()
    }

    #[test]
    fn a_cluster_that_is_not_there_is_made() {
        let plan = plan(0, 0, |spec| spec.nodes = Some("3".into()));
        assert_eq!((plan.before, plan.add), (Before::Nothing, 0));
        assert_eq!(plan.given.nodes.as_deref(), Some("3"));
    }

    #[test]
    fn a_cluster_that_is_as_asked_needs_nothing() {
        let plan = plan(1, 1, |spec| {
            // Said in other words, or as it would be anyway, is no change.
            (spec.memory, spec.nodes) = (Some("2048m".into()), Some("2".into()));
            spec.dns_domain = Some("cluster.local".into());
            spec.kubernetes_version = Some(skiff_config::versions::DEFAULT.to_string());
        });
        assert!(plan.changes.is_empty() && plan.add == 0 && plan.delete.is_empty(), "{plan:?}");
    }

    #[test]
    fn every_change_says_what_it_does() {
        let plan = plan(1, 0, |spec| {
            spec.memory = Some("4g".into());
            spec.ports = Some(vec!["m02:80:80".into()]);
            spec.dns_domain = Some("other.local".into());
            spec.nodes = Some("3".into());
        });
        assert_eq!(
            shown(&plan),
            [
                "live: memory 2g -> 4g",
                "live: nodes 1 -> 3",
                "needs restart: ports  -> m02:80:80",
                "needs recreate: dns-domain cluster.local -> other.local"
            ]
        );
        assert_eq!((plan.add, plan.given.nodes), (2, None));
    }

    #[test]
    fn what_a_manifest_leaves_out_is_taken_back() {
        let plan = plan_with(1, 0, Some(vec!["metrics-server".into()]), |_| {});
        assert_eq!(shown(&plan), ["live: memory 2g -> auto"]);
        assert_eq!((plan.given.memory.as_deref(), plan.disable), (Some("auto"), vec!["ingress".to_owned()]));
        assert!(plan_with(1, 0, None, |_| {}).disable.is_empty());
    }

    #[test]
    fn a_manifest_without_a_version_asks_for_no_downgrade() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name: ClusterName = "dev".parse().unwrap();
        let upgraded = SpecFile { kubernetes_version: Some("v1.21.4".into()), ..SpecFile::default() };
        let mut file = ClusterFile::new(name.clone(), upgraded);
        file.status.phase = Phase::Created;
        file.status.nodes.push(record(0, true));
        store.save(&file).unwrap();
        let manifest = Manifest { name: None, spec: SpecFile::default(), addons: None, notes: Vec::new() };
        // Not even where new clusters would get an older one.
        let older = SpecFile { kubernetes_version: Some("v1.20.2".into()), ..SpecFile::default() };
        let plan = converge(&store, &name, &manifest, &Ground { defaults: older, live_resize: true }).unwrap();
        assert_eq!((plan.changes, plan.given.kubernetes_version), (Vec::new(), None));
    }

    #[test]
    fn the_newest_workers_go_first_and_control_planes_stay() {
        let fewer = plan(1, 3, |spec| spec.nodes = Some("2".into()));
        let names: Vec<String> = fewer.delete.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["dev-m04", "dev-m03"]);
        let impossible = plan(3, 0, |spec| spec.nodes = Some("1".into()));
        assert_eq!(shown(&impossible), ["needs recreate: nodes 3 -> 1"]);
        assert!(impossible.delete.is_empty());
    }
}
