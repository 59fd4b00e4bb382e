//! `skiff profile list`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use skiff_cluster::{DamagedProfile, ProfileReport, profiles, stored_profiles};
use skiff_kubeapi::kubeconfig;
use skiff_report::{ExitCode, Reporter};

use crate::{
    cli::{
        output::{ListFormat, json},
        status::status_name,
    },
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// Lists all clusters.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub(super) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
    /// Do not ask how the clusters are.
    #[arg(short, long)]
    light: bool,
}

/// All clusters, and which of them skiff and kubectl work with.
struct Listing {
    valid: Vec<ProfileReport>,
    damaged: Vec<DamagedProfile>,
    active: String,
    context: Option<String>,
    /// The state of clusters that were not asked.
    unasked: &'static str,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let (valid, damaged) = self.profiles(context).await?;
        // A kubeconfig that cannot be read makes no cluster the current one.
        let current = kubeconfig::current_context(&context.environment.kubeconfig).unwrap_or_default();
        let unasked = if self.light { "Skipped" } else { "Unknown" };
        let listing = Listing { valid, damaged, active: context.cluster.to_string(), context: current, unasked };
        if self.output == ListFormat::Json {
            print(&json(&listing.to_json())?)?;
            return Ok(ExitCode::SUCCESS);
        }
        for damaged in &listing.damaged {
            context.ui.warn(&format!("{}. {}", damaged.problem, damaged.reason.advice));
        }
        if listing.valid.is_empty() && listing.damaged.is_empty() {
            return Err(Failure::new(
                "MK_USAGE_NO_PROFILE",
                ExitCode::PROGRAM_USAGE,
                "there are no clusters",
                "`skiff start` makes one.",
            ));
        }
        print_line(&listing.to_table())?;
        Ok(ExitCode::SUCCESS)
    }

    /// All profiles; without their state when nobody wants it, or their driver cannot be asked.
    async fn profiles(&self, context: &Context) -> Result<(Vec<ProfileReport>, Vec<DamagedProfile>), Failure> {
        let (mut all, mut damaged) = stored_profiles(&context.store()?)?;
        let known = all.iter().map(|profile| profile.driver.clone()).filter(|driver| !driver.is_empty());
        let drivers: BTreeSet<String> = if self.light { BTreeSet::new() } else { known.collect() };
        for driver in drivers {
            let reporter = Arc::clone(&context.ui) as Arc<dyn Reporter>;
            let asked = match context.host_on("skiff profile list", &driver, reporter).await {
                Ok(host) => profiles(&host).await.map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            match asked {
                Ok((reports, broken)) => {
                    let told = reports.into_iter().filter(|report| report.status.is_some());
                    for report in told {
                        all.retain(|profile| profile.name != report.name);
                        all.push(report);
                    }
                    damaged.extend(
                        broken
                            .into_iter()
                            .filter(|one| !damaged.iter().any(|known| known.name == one.name))
                            .collect::<Vec<_>>(),
                    );
                }
                Err(failure) => context.ui.warn(&format!("{}. {}", failure.full_message(), failure.advice)),
            }
        }
        all.retain(|profile| !damaged.iter().any(|one| one.name == profile.name.as_str()));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((all, damaged))
    }
}

impl Listing {
    fn status(&self, profile: &ProfileReport) -> &'static str {
        profile.status.as_ref().map_or(self.unasked, status_name)
    }

    fn to_table(&self) -> String {
        let mark = |yes: bool| if yes { "*" } else { "" }.to_owned();
        let dash = || "-".to_owned();
        let valid = self.valid.iter().map(|profile| {
            let name = profile.name.as_str();
            [
                name.to_owned(),
                profile.driver.clone(),
                "containerd".to_owned(),
                profile.address.map_or_else(dash, |address| address.to_string()),
                profile.version.clone(),
                self.status(profile).to_owned(),
                profile.nodes.to_string(),
                mark(name == self.active),
                mark(self.context.as_deref() == Some(name)),
            ]
        });
        let damaged = self.damaged.iter().map(|profile| {
            let [driver, runtime, ip, version, nodes] = std::array::from_fn(|_| dash());
            let active = mark(profile.name == self.active);
            let context = mark(self.context.as_deref() == Some(profile.name.as_str()));
            [profile.name.clone(), driver, runtime, ip, version, "Damaged".to_owned(), nodes, active, context]
        });
        let header = [
            "Profile",
            "Driver",
            "Runtime",
            "IP",
            "Version",
            "Status",
            "Nodes",
            "Active Profile",
            "Active Kubecontext",
        ];
        table(header, valid.chain(damaged)).to_string()
    }

    fn to_json(&self) -> Profiles<'_> {
        let valid = self.valid.iter().map(|profile| {
            let name = profile.name.as_str();
            Valid {
                name,
                status: self.status(profile),
                config: Config {
                    name,
                    driver: &profile.driver,
                    kubernetes_config: KubernetesConfig { kubernetes_version: &profile.version, cluster_name: name },
                    nodes: nodes(profile),
                    settings: &profile.config,
                },
                active: name == self.active,
                active_kube_context: self.context.as_deref() == Some(name),
            }
        });
        let invalid = self.damaged.iter().map(|profile| Invalid {
            name: &profile.name,
            status: "Damaged",
            error: &profile.problem,
            advice: &profile.reason.advice,
        });
        Profiles { valid: valid.collect(), invalid: invalid.collect() }
    }
}

/// The nodes that a status shows; without one only the first is known.
fn nodes(profile: &ProfileReport) -> Vec<Node> {
    let Some(status) = &profile.status else {
        let (name, ip) = (profile.name.to_string(), profile.address.map(|ip| ip.to_string()));
        return vec![Node { name, ip, control_plane: true, worker: true }];
    };
    let node = |node: &skiff_cluster::NodeReport| Node {
        name: node.name.clone(),
        ip: node.address.map(|ip| ip.to_string()),
        control_plane: !node.worker,
        worker: true,
    };
    status.nodes.iter().map(node).collect()
}

/// `-o json`, in minikube's shape.
#[derive(Debug, Serialize)]
struct Profiles<'a> {
    invalid: Vec<Invalid<'a>>,
    valid: Vec<Valid<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Invalid<'a> {
    name: &'a str,
    status: &'static str,
    error: &'a str,
    advice: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Valid<'a> {
    name: &'a str,
    status: &'static str,
    config: Config<'a>,
    active: bool,
    active_kube_context: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    name: &'a str,
    driver: &'a str,
    kubernetes_config: KubernetesConfig<'a>,
    nodes: Vec<Node>,
    settings: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KubernetesConfig<'a> {
    kubernetes_version: &'a str,
    cluster_name: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    name: String,
    #[serde(rename = "IP")]
    ip: Option<String>,
    control_plane: bool,
    worker: bool,
}

#[cfg(test)]
#[path = "list/tests.rs"]
mod tests;
