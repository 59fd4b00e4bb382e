//! Status for programs, in minikube's shapes.

use std::collections::BTreeMap;

use serde::Serialize;
use skiff_cluster::{ClusterStatus, ComponentState, KubeconfigState, NodeReport};

use super::Around;

/// A node with `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node<'a> {
    name: &'a str,
    host: &'static str,
    kubelet: &'static str,
    #[serde(rename = "APIServer")]
    apiserver: &'static str,
    kubeconfig: &'static str,
    worker: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_stop: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
}

pub(super) fn node<'a>(node: &'a NodeReport, time_to_stop: Option<&'a str>) -> Node<'a> {
    Node {
        name: &node.name,
        host: node.host.as_str(),
        kubelet: node.kubelet.as_str(),
        apiserver: node.apiserver.as_str(),
        kubeconfig: node.kubeconfig.as_str(),
        worker: node.worker,
        time_to_stop,
        trouble: node.trouble.as_deref(),
    }
}

/// A name with the code and the name of its state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Base<'a> {
    name: &'a str,
    status_code: u16,
    status_name: &'static str,
}

/// The cluster with `-l cluster -o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cluster<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_detail: Option<&'a str>,
    binary_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_stop: Option<&'a str>,
    components: BTreeMap<&'static str, Base<'static>>,
    nodes: Vec<NodeState<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeState<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    components: BTreeMap<&'static str, Base<'static>>,
}

pub(super) fn cluster<'a>(status: &'a ClusterStatus, around: Around<'a>) -> Cluster<'a> {
    let Around { doing, time_to_stop } = around;
    let kubeconfig = status.nodes.first().map_or(KubeconfigState::Misconfigured, |node| node.kubeconfig);
    let kubeconfig = if kubeconfig == KubeconfigState::Misconfigured { 500 } else { 200 };
    Cluster {
        base: base(status.name.as_str(), doing.map_or_else(|| cluster_code(status), |doing| doing.code)),
        step: doing.map(|doing| doing.step.as_str()),
        step_detail: doing.map(|doing| doing.detail.as_str()),
        binary_version: concat!("v", env!("CARGO_PKG_VERSION")),
        time_to_stop,
        components: [("kubeconfig", base("kubeconfig", kubeconfig))].into(),
        nodes: status.nodes.iter().map(node_state).collect(),
    }
}

fn node_state(node: &NodeReport) -> NodeState<'_> {
    let parts = [("apiserver", node.apiserver), ("kubelet", node.kubelet)];
    let parts = parts.into_iter().filter(|(_, state)| *state != ComponentState::Irrelevant);
    NodeState {
        base: base(&node.name, code(node.host)),
        components: parts.map(|(name, state)| (name, base(name, code(state)))).collect(),
    }
}

/// One word for the whole cluster, as `profile list` shows it.
pub(in crate::cli) fn status_name(status: &ClusterStatus) -> &'static str {
    name(cluster_code(status))
}

/// The first node's machine decides; if it runs, its API server does.
fn cluster_code(status: &ClusterStatus) -> u16 {
    let Some(first) = status.nodes.first() else { return 404 };
    if first.host != ComponentState::Running {
        return code(first.host);
    }
    let degraded = status.nodes.iter().any(|node| node.host != ComponentState::Running);
    match code(first.apiserver) {
        200 if degraded => 204,
        code => code,
    }
}

fn base(of: &str, code: u16) -> Base<'_> {
    Base { name: of, status_code: code, status_name: name(code) }
}

fn code(state: ComponentState) -> u16 {
    match state {
        ComponentState::Running | ComponentState::Irrelevant => 200,
        ComponentState::Nonexistent => 404,
        ComponentState::Stopped => 405,
        ComponentState::Paused => 418,
        ComponentState::Error => 500,
    }
}

/// The name of a code.
pub(super) fn name(code: u16) -> &'static str {
    match code {
        100 => "Starting",
        101 => "Pausing",
        102 => "Unpausing",
        110 => "Stopping",
        120 => "Deleting",
        200 => "OK",
        204 => "Degraded",
        404 => "NotFound",
        405 => "Stopped",
        418 => "Paused",
        507 => "InsufficientStorage",
        _ => "Error",
    }
}
