//! `skiff start --dry-run`: which driver a start would take, and what it would do.

use skiff_cluster::{Before, ClusterError, Preview};
use skiff_driver::{Driver, MachineState, NodeImages};
use skiff_drivers::{AUTO, AnyDriver, Choice, Verdict, survey};

use super::{SourceArgs, changes};
use crate::{cli::apply::kebab_case, context::Context, failure::Failure, wiring::Images};

/// Where the node image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Driver,
    Cache,
    Nowhere,
}

/// Tells what a start would do. What would keep it from working is a warning: the settings are fine.
pub(super) async fn tell(context: &Context, source: &SourceArgs, preview: &Preview) {
    let ui = &context.ui;
    ui.info("Drivers on this host:");
    let survey = survey(&context.providers()).await;
    for finding in &survey.findings {
        let preferred = survey.rejection(finding).filter(|_| matches!(finding.verdict, Verdict::Usable(_)));
        ui.info(&format!("  {finding}{}", preferred.map(|why| format!("; {why}")).unwrap_or_default()));
    }
    let name = &preview.spec.name;
    let mut live_resize = false;
    let state = match survey.choose(&preview.driver) {
        Ok(Choice { driver, capabilities, .. }) => {
            ui.info(&format!("Driver {}: {}", driver.kind(), reason(preview)));
            for flag in context.machines.left_out_by(driver.kind()) {
                ui.warn(&format!("{flag} would be left out: the {} driver has no use for it", driver.kind()));
            }
            match image(source.images(context, &driver), &driver, preview).await {
                Ok(place) => ui.info(&image_line(place, preview)),
                Err(failure) => would_fail(context, &failure),
            }
            live_resize = capabilities.live_resize;
            if let Err(error) = preview.fits(&capabilities) {
                would_fail(context, &error.into());
            }
            let nodes = driver.list(Some(name)).await.unwrap_or_default();
            if preview.before == Before::Nothing && !nodes.is_empty() {
                would_fail(context, &ClusterError::Orphaned(name.clone()).into());
            }
            // A machine that was removed is no secret of the driver's.
            Some(nodes.first().map_or(MachineState::Missing, |node| node.state))
        }
        Err(error) => {
            would_fail(context, &error.into());
            None
        }
    };
    for (setting, wanted, kept) in &preview.left_out {
        ui.warn(&format!("--{setting} {wanted} would be left out: the cluster was made with {kept}"));
    }
    for line in outlook(preview, state, live_resize) {
        ui.info(&line);
    }
    ui.info("The settings are valid; nothing was started (--dry-run).");
}

fn would_fail(context: &Context, failure: &Failure) {
    context.ui.warn(&format!("a start would fail now: {}. {}", failure.full_message(), failure.advice));
}

async fn image(images: Result<Images, Failure>, driver: &AnyDriver, preview: &Preview) -> Result<Place, Failure> {
    let (images, version) = (images?, &preview.spec.kubernetes_version);
    let key = skiff_cluster::ImageSource::key(&images, version).await?;
    let taken_in = driver.list_images().await?.iter().any(|image| image.key == key);
    Ok(match taken_in {
        true => Place::Driver,
        false if images.is_cached(version)? => Place::Cache,
        false => Place::Nowhere,
    })
}

fn image_line(place: Place, preview: &Preview) -> String {
    let version = &preview.spec.kubernetes_version;
    match place {
        Place::Driver => format!("The node image of Kubernetes {version} is there"),
        Place::Cache => format!("The node image of Kubernetes {version} would be taken from the cache"),
        Place::Nowhere => format!("The node image of Kubernetes {version} would be built"),
    }
}

/// Why it is this driver.
fn reason(preview: &Preview) -> &'static str {
    match preview.before {
        Before::Cluster => "the cluster was made with it",
        _ if preview.driver == AUTO => "the first that works",
        _ => "it was asked for",
    }
}

/// What would happen to the cluster. The state of its machine is known where the driver is.
fn outlook(preview: &Preview, state: Option<MachineState>, live_resize: bool) -> Vec<String> {
    let (name, version) = (&preview.spec.name, &preview.spec.kubernetes_version);
    let mut lines = Vec::new();
    let line = match (preview.before, preview.changes.is_empty(), state) {
        (Before::Nothing, ..) => format!("Cluster `{name}` would be made, with Kubernetes {version}"),
        (Before::Leftovers, ..) => {
            lines.push("What an interrupted start left behind would be cleared away".to_owned());
            format!("Cluster `{name}` would be made, with Kubernetes {version}")
        }
        (Before::Cluster, false, _) => format!("Cluster `{name}` would change:"),
        (Before::Cluster, true, None) => format!("Cluster `{name}` would be started if it does not run"),
        (Before::Cluster, true, Some(MachineState::Running)) => {
            let what = if preview.addons.is_empty() { "nothing" } else { "no setting" };
            format!("Cluster `{name}` runs: {what} would be changed")
        }
        (Before::Cluster, true, Some(MachineState::Stopped | MachineState::Paused)) => {
            format!("Cluster `{name}` would be started again")
        }
        (Before::Cluster, true, Some(_)) => format!("The node of cluster `{name}` would be made again on its data"),
    };
    lines.push(line);
    if preview.before == Before::Cluster {
        lines.extend(changes(preview, live_resize));
    } else {
        lines.extend(preview.settings.iter().map(|(key, value)| format!("  {}: {value}", kebab_case(key))));
    }
    if !preview.addons.is_empty() {
        lines.push(format!("Addons that would be enabled: {}", preview.addons.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use skiff_cluster::{StartOptions, StartRequest, preview};
    use skiff_config::{ClusterFile, Phase, SpecFile};
    use skiff_store::Store;

    use super::*;

    /// What is told of a cluster with these files, when `--memory 4g` is asked for.
    fn preview_of(phase: Option<Phase>, memory: Option<&str>) -> Preview {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let spec = |memory: Option<&str>| SpecFile { memory: memory.map(str::to_owned), ..SpecFile::default() };
        if let Some(phase) = phase {
            let mut file = ClusterFile::new("dev".parse().unwrap(), spec(memory));
            file.status.phase = phase;
            file.status.driver = Some("docker".to_owned());
            store.save(&file).unwrap();
        }
        let options = StartOptions {
            wait: Vec::new(),
            wait_timeout: std::time::Duration::ZERO,
            keep: false,
            delete_on_failure: false,
            force: false,
            download_only: false,
            embed_certs: false,
            keep_context: false,
            addons: vec!["metrics-server".to_owned()],
            addon_settings: skiff_cluster::AddonSettings::default(),
            ttl: None,
            owner: None,
            pod_network: None,
        };
        let (name, defaults) = ("dev".parse().unwrap(), SpecFile::default());
        let catalog = skiff_addons::Catalog::built_in().unwrap();
        preview(&store, &catalog, StartRequest { name, given: spec(Some("4g")), defaults, options }).unwrap()
    }

    #[test]
    fn what_would_happen_follows_from_what_there_is() {
        let mut all = String::new();
        for (phase, memory, state) in [
            (None, None, Some(MachineState::Missing)),
            (Some(Phase::Creating), None, None),
            (Some(Phase::Created), Some("4g"), None),
            (Some(Phase::Created), Some("4g"), Some(MachineState::Running)),
            (Some(Phase::Created), Some("4g"), Some(MachineState::Stopped)),
            (Some(Phase::Created), Some("4g"), Some(MachineState::Missing)),
            (Some(Phase::Created), Some("2g"), Some(MachineState::Running)),
            (Some(Phase::Created), None, None),
        ] {
            let preview = preview_of(phase, memory);
            let lines = outlook(&preview, state, true).join("\n");
            all += &format!("--- {phase:?} {memory:?} {state:?}: {}\n{lines}\n", reason(&preview));
        }
        insta::assert_snapshot!(all);
    }
}
