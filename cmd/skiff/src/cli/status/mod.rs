//! `skiff status`.

mod layout;
mod text;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use skiff_cluster::{ClusterError, ClusterStatus, ComponentState, KubeconfigState, NodeReport};
use skiff_report::ExitCode;

use super::{duration::go_duration, output::json, stop::time_to_stop};
use crate::{
    context::{Context, print},
    failure::Failure,
    journal::{Doing, doing},
    template::Template,
};

pub(super) use layout::status_name;

/// Shows whether a cluster works.
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code adds up: 1 a node's machine does not run, 2 its Kubernetes does not run, 4 the \
                        kubeconfig does not lead to the cluster. Other codes are errors.")]
pub(crate) struct Args {
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Go template for each node, e.g. {{.Host}}; fields: Name Host Kubelet APIServer Kubeconfig Worker TimeToStop.
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with = "output")]
    format: Option<String>,
    /// What to show: each node, or the cluster as a whole.
    #[arg(short, long, value_name = "LAYOUT", default_value = "nodes")]
    layout: Layout,
    /// Show this node only.
    #[arg(short, long, value_name = "NAME")]
    node: Option<String>,
    /// Show it again and again, this often.
    #[arg(short, long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "1s")]
    #[arg(value_parser = go_duration)]
    watch: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    // Lines for people.
    Text,
    // JSON: an object for one node, a list for several.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    // One block a node.
    Nodes,
    // The cluster with codes and names of its parts' states.
    Cluster,
}

/// What goes on around a cluster, beside what its parts are.
#[derive(Debug, Clone, Copy, Default)]
struct Around<'a> {
    /// What a skiff does with it.
    doing: Option<&'a Doing>,
    /// How long until it is stopped, if that is scheduled.
    time_to_stop: Option<&'a str>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_of_cluster("skiff status").await?;
        loop {
            let mut status = skiff_cluster::status(&host, &context.cluster).await?;
            if misled(&status)
                && let Some(node) = skiff_cluster::follow(&host, &context.cluster).await.unwrap_or_default()
            {
                context
                    .ui
                    .warn(&format!("kubectl was led to a control plane that does not work; {node} serves it now"));
                status = skiff_cluster::status(&host, &context.cluster).await?;
            }
            let status = self.select(with_node(status))?;
            let (events, at_work) = (host.store.events(&context.cluster)?, host.store.is_locked(&context.cluster));
            let doing = doing(&events, at_work, Timestamp::now());
            let time_to_stop = time_to_stop(&host.store, &context.cluster)?;
            let around = Around { doing: doing.as_ref(), time_to_stop: time_to_stop.as_deref() };
            print(&self.render(&status, around)?)?;
            // What all control planes have in common is told once.
            for trouble in status.nodes.iter().filter_map(|node| node.trouble.as_deref()).collect::<BTreeSet<_>>() {
                context.ui.warn(trouble);
            }
            if misled(&status) {
                context.ui.warn(&format!(
                    "kubectl's entry for this cluster is missing or stale: `skiff update-context -p {}` repairs it",
                    context.cluster
                ));
            }
            match self.watch {
                Some(interval) => tokio::time::sleep(interval).await,
                None => return Ok(exit_code(&status)),
            }
        }
    }

    /// The status in the form that was asked for.
    fn render(&self, status: &ClusterStatus, around: Around<'_>) -> Result<String, Failure> {
        let time_to_stop = around.time_to_stop;
        if let Some(format) = &self.format {
            let template = Template::parse(format, &text::FIELDS)?;
            return Ok(status.nodes.iter().map(|node| text::filled(&template, node, time_to_stop)).collect());
        }
        match (self.layout, self.output) {
            (Layout::Nodes, Format::Text) => Ok(text::blocks(status, time_to_stop)),
            (Layout::Nodes, Format::Json) => match status.nodes.as_slice() {
                [one] => json(&layout::node(one, time_to_stop)),
                many => json(&many.iter().map(|one| layout::node(one, time_to_stop)).collect::<Vec<_>>()),
            },
            (Layout::Cluster, Format::Text) => Ok(text::cluster(status, around)),
            (Layout::Cluster, Format::Json) => json(&layout::cluster(status, around)),
        }
    }

    /// Leaves only the node that was asked for, named in full or by its short name (`m02`).
    fn select(&self, mut status: ClusterStatus) -> Result<ClusterStatus, Failure> {
        let Some(wanted) = &self.node else { return Ok(status) };
        status.nodes.retain(|node| status.name.calls(&node.name, wanted));
        if status.nodes.is_empty() {
            return Err(ClusterError::NoSuchNode { cluster: status.name, node: wanted.clone() }.into());
        }
        Ok(status)
    }
}

/// A cluster whose making was cut off before its first node shows that there is none.
fn with_node(mut status: ClusterStatus) -> ClusterStatus {
    if status.nodes.is_empty() {
        let nothing = ComponentState::Nonexistent;
        status.nodes.push(NodeReport {
            name: status.name.to_string(),
            worker: false,
            host: nothing,
            kubelet: nothing,
            apiserver: nothing,
            kubeconfig: KubeconfigState::Misconfigured,
            address: None,
            trouble: None,
        });
    }
    status
}

/// True if a cluster that runs cannot be reached by kubectl, and nothing but the kubeconfig is why.
fn misled(status: &ClusterStatus) -> bool {
    let misled = |node: &NodeReport| {
        let stale = node.kubeconfig == KubeconfigState::Misconfigured;
        stale && node.host == ComponentState::Running && node.trouble.is_none()
    };
    status.nodes.iter().any(misled)
}

/// Bits for what does not work, over all nodes.
fn exit_code(status: &ClusterStatus) -> ExitCode {
    let runs = |state| state == ComponentState::Running;
    let bits = |node: &NodeReport| {
        // A frozen machine is there; what does not run is Kubernetes. minikube's code for it is 2.
        let host = u8::from(!runs(node.host) && node.host != ComponentState::Paused);
        let apiserver = runs(node.apiserver) || node.apiserver == ComponentState::Irrelevant;
        let kubernetes = u8::from(!(runs(node.kubelet) && apiserver)) << 1;
        let kubeconfig = u8::from(node.kubeconfig == KubeconfigState::Misconfigured) << 2;
        host | kubernetes | kubeconfig
    };
    ExitCode(status.nodes.iter().map(bits).fold(0, |all, bits| all | bits))
}

#[cfg(test)]
mod tests;
