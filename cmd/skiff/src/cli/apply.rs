//! `skiff apply` and `skiff get`: a cluster as a file.

use std::{
    env, fs,
    io::{self, Read},
    path::PathBuf,
    process::Stdio,
};

use skiff_cluster::{Before, Change, ClusterError, Convergence, Ground, Impact, converge};
use skiff_config::{ClusterName, Manifest, ManifestError};
use skiff_report::{Diagnose, ExitCode};
use tokio::process::Command;

use skiff_driver::Driver;

use super::{DataFormat, EventFormat, spec_defaults};
use crate::{
    context::{Context, print},
    failure::Failure,
};

/// Makes a cluster what a file says, or makes one: kind's files are understood as well. Settings that the file
/// leaves out go back to their defaults; addons are left alone if it names none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; - for standard input.
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: EventFormat,
}

/// Prints the file of a cluster, as `apply` reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: DataFormat,
}

impl GetArgs {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode, Failure> {
        let file = context.store()?.load(&context.cluster)?;
        let file = file.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
        print(&self.output.render(&Manifest::to_value(&file)?)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Args {
    /// Shows the plan, then carries it out with the commands that a user would give.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let text = self.read()?;
        let manifest = Manifest::from_yaml(&text).map_err(|error| failure(&error, &self.filename.to_string_lossy()))?;
        let name = manifest.name.clone().unwrap_or_else(|| context.cluster.clone());
        let plan = converge(&context.store()?, &name, &manifest, &ground(context, &name).await?)?;
        for note in &manifest.notes {
            context.ui.warn(note);
        }
        let addons = manifest.addons.unwrap_or_default();
        for line in outline(&name, &plan, &addons) {
            context.ui.info(&line);
        }
        if let Some(change) = plan.changes.iter().find(|change| change.impact == Impact::Recreate) {
            let why = format!("{} of cluster \"{name}\" cannot be changed", change.setting);
            let advice = format!("Take it out of the file, or delete the cluster first: `skiff delete -p {name}`.");
            return Err(Failure::new("GUEST_RECREATE_NEEDED", ExitCode::GUEST_CONFLICT, why, advice));
        }
        if self.dry_run {
            context.ui.info("Nothing was done (--dry-run).");
            return Ok(ExitCode::SUCCESS);
        }
        context.ui.finish();
        for line in commands(&plan, &addons)? {
            let code = self.carry_out(context, &name, &line).await?;
            if code != ExitCode::SUCCESS {
                // What failed has said so itself.
                return Ok(code);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn read(&self) -> Result<String, Failure> {
        let read = if self.filename.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(&self.filename)
        };
        read.map_err(|error| {
            let message = format!("cannot read {}: {error}", self.filename.display());
            Failure::new("HOST_FILE", ExitCode::HOST_NOT_FOUND, message, "Name a file with --filename, or - for input.")
        })
    }

    /// Runs one of skiff's own commands: its output is this one's, and so is Ctrl-C.
    async fn carry_out(&self, context: &Context, name: &ClusterName, line: &[String]) -> Result<ExitCode, Failure> {
        let failed = |error: io::Error| {
            let message = format!("cannot run skiff itself: {error}");
            Failure::new("HOST_PROCESS", ExitCode::HOST_ERROR, message, "")
        };
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command.args(line).args(["--profile", name.as_str()]).stdin(Stdio::null());
        command.env("SKIFF_HOME", &context.environment.home).env("SKIFF_CACHE", &context.environment.cache);
        command.env_remove("SKIFF_PROFILE").env_remove("SKIFF_DRY_RUN");
        if self.output == EventFormat::Json && line.first().is_some_and(|verb| verb == "start") {
            command.arg("--output=json");
        }
        let status = command.status().await.map_err(failed)?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(ExitCode(code.unwrap_or(ExitCode::FAILURE.0)))
    }
}

/// What the file is carried out on.
async fn ground(context: &Context, name: &ClusterName) -> Result<Ground, Failure> {
    let defaults = spec_defaults(&context.settings)?;
    let live_resize = context.store()?.load(name)?.is_some() && live_resize(context, name).await;
    Ok(Ground { defaults, live_resize })
}

/// Whether limits of a cluster's nodes change while they run. A driver that does not answer now is told
/// by what follows.
pub(super) async fn live_resize(context: &Context, name: &ClusterName) -> bool {
    let Ok(host) = context.host_for("skiff apply", name).await else { return false };
    match host.capabilities {
        Some(capabilities) => capabilities.live_resize,
        None => host.driver.check().await.is_ok_and(|capabilities| capabilities.live_resize),
    }
}

/// The plan for a person: what each change does to a cluster that runs.
fn outline(name: &ClusterName, plan: &Convergence, addons: &[String]) -> Vec<String> {
    let first = match plan.before {
        Before::Nothing => format!("Cluster \"{name}\" will be made:"),
        Before::Leftovers => format!("Cluster \"{name}\" was never finished, and will be made anew:"),
        Before::Cluster if plan.changes.is_empty() && plan.disable.is_empty() => {
            format!("Cluster \"{name}\" is what the file says")
        }
        Before::Cluster => format!("Cluster \"{name}\" will change:"),
    };
    let line = |change: &Change| match plan.before {
        Before::Cluster => changed(change),
        _ => format!("  {}: {}", change.setting, change.to),
    };
    let addons = (!addons.is_empty()).then(|| format!("  addons: {} (live)", addons.join(", ")));
    let off = (!plan.disable.is_empty()).then(|| format!("  addons off: {} (live)", plan.disable.join(", ")));
    [first].into_iter().chain(plan.changes.iter().map(line)).chain(addons).chain(off).collect()
}

/// One change of a cluster that is there.
pub(super) fn changed(Change { impact, setting, from, to }: &Change) -> String {
    let shown = |value: &str| if value.is_empty() { "(none)".to_owned() } else { value.to_owned() };
    let from = if from.is_empty() { "(default)".to_owned() } else { from.clone() };
    format!("  {setting}: {from} -> {} ({impact})", shown(to))
}

/// The commands that carry a plan out.
fn commands(plan: &Convergence, addons: &[String]) -> Result<Vec<Vec<String>>, Failure> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut start = words(&["start", "--told"]);
    let unreadable = |error| Failure::from(ManifestError::from(error));
    if let serde_yaml::Value::Mapping(settings) = serde_yaml::to_value(&plan.given).map_err(unreadable)? {
        for (key, value) in &settings {
            let flag = kebab_case(key.as_str().unwrap_or_default());
            match value {
                serde_yaml::Value::String(text) => start.push(format!("--{flag}={text}")),
                serde_yaml::Value::Sequence(items) => {
                    let items: Vec<&str> = items.iter().filter_map(serde_yaml::Value::as_str).collect();
                    // A value of these may hold commas itself.
                    if ["extra-config", "mounts"].contains(&flag.as_str()) && !items.is_empty() {
                        start.extend(items.iter().map(|item| format!("--{flag}={item}")));
                    } else {
                        start.push(format!("--{flag}={}", items.join(",")));
                    }
                }
                _ => {}
            }
        }
    }
    if !addons.is_empty() {
        start.push(format!("--addons={}", addons.join(",")));
    }
    let added = (0..plan.add).map(|_| words(&["node", "add"]));
    let deleted = plan.delete.iter().map(|node| words(&["node", "delete", node.as_str()]));
    let off = plan.disable.iter().map(|addon| words(&["addons", "disable", addon.as_str()]));
    Ok([start].into_iter().chain(off).chain(added).chain(deleted).collect())
}

/// `kubernetesVersion` as flags have it: `kubernetes-version`.
pub(super) fn kebab_case(key: &str) -> String {
    key.chars().fold(String::new(), |mut flag, letter| {
        if letter.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(letter.to_ascii_lowercase());
        flag
    })
}

/// The error with the file's name, and every single fault.
fn failure(error: &ManifestError, file: &str) -> Failure {
    let failure = Failure::from_error(error, error.reason());
    match error {
        ManifestError::Faults { faults } => {
            let message = format!("{file}: {} of its lines cannot be used", faults.len());
            let details = faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.message)).collect();
            Failure { message, details, ..failure }
        }
        _ => Failure { message: format!("{file}: {}", failure.message), ..failure },
    }
}

#[cfg(test)]
mod tests {
    use skiff_config::SpecFile;

    use super::*;

    fn plan(given: SpecFile) -> Convergence {
        Convergence {
            before: Before::Cluster,
            changes: Vec::new(),
            given,
            add: 1,
            delete: vec!["dev-m03".parse().unwrap()],
            disable: vec!["registry".into()],
        }
    }

    #[test]
    fn a_plan_becomes_the_commands_a_user_would_give() {
        let given = SpecFile {
            kubernetes_version: Some("v1.20.2".into()),
            ports: Some(vec!["80:80".into(), "443:443".into()]),
            mounts: Some(vec!["/a,b:/c".into()]),
            node_labels: Some(Vec::new()),
            extra_config: Some(vec!["apiserver.runtime-config=a=1,b=2".into(), "kubelet.max-pods=20".into()]),
            ..SpecFile::default()
        };
        let lines: Vec<String> =
            commands(&plan(given), &["ingress".to_owned()]).unwrap().iter().map(|line| line.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "start --told --kubernetes-version=v1.20.2 --extra-config=apiserver.runtime-config=a=1,b=2 \
                 --extra-config=kubelet.max-pods=20 --ports=80:80,443:443 --mounts=/a,b:/c --node-labels= \
                 --addons=ingress",
                "addons disable registry",
                "node add",
                "node delete dev-m03",
            ]
        );
    }

    #[test]
    fn what_each_change_does_is_shown() {
        let change = |impact, setting: &str, from: &str| Change {
            impact,
            setting: setting.to_owned(),
            from: from.to_owned(),
            to: "new".to_owned(),
        };
        let changes = vec![change(Impact::Live, "nodes", "1"), change(Impact::Restart, "memory", "")];
        let plan = Convergence { changes, ..plan(SpecFile::default()) };
        let lines = outline(&"dev".parse().unwrap(), &plan, &[]);
        assert_eq!(
            lines,
            [
                "Cluster \"dev\" will change:",
                "  nodes: 1 -> new (live)",
                "  memory: (default) -> new (needs restart)",
                "  addons off: registry (live)",
            ]
        );
    }

    #[test]
    fn faults_are_told_with_file_and_line() {
        let text = "apiVersion: skiff.dev/v1alpha1\nkind: Cluster\nspec:\n  memory: lots\n";
        let failure = failure(&Manifest::from_yaml(text).unwrap_err(), "c.yaml");
        assert_eq!(failure.exit.0, 14);
        assert!(failure.to_text().contains("c.yaml: 1 of its lines") && failure.to_text().contains("line 4: memory"));
    }
}
