//! Status for people, and by template.

use std::fmt::Write as _;

use skiff_cluster::{ClusterStatus, NodeReport};

use super::{
    Around,
    layout::{name, status_name},
};
use crate::template::Template;

/// The fields a template may use: minikube's.
pub(super) const FIELDS: [&str; 7] = ["Name", "Host", "Kubelet", "APIServer", "Kubeconfig", "Worker", "TimeToStop"];

/// One block a node, an empty line after each.
pub(super) fn blocks(status: &ClusterStatus, time_to_stop: Option<&str>) -> String {
    let mut text = String::new();
    let stops = time_to_stop.map_or_else(String::new, |time| format!("timeToStop: {time}\n"));
    for node in &status.nodes {
        let (host, kubelet) = (node.host.as_str(), node.kubelet.as_str());
        // Writing to a string cannot fail.
        let _ = if node.worker {
            writeln!(text, "{}\ntype: Worker\nhost: {host}\nkubelet: {kubelet}\n{stops}", node.name)
        } else {
            writeln!(
                text,
                "{}\ntype: Control Plane\nhost: {host}\nkubelet: {kubelet}\napiserver: {}\nkubeconfig: {}\n{stops}",
                node.name,
                node.apiserver.as_str(),
                node.kubeconfig.as_str()
            )
        };
    }
    text
}

/// The cluster as a whole: a line for it, a line a node.
pub(super) fn cluster(status: &ClusterStatus, around: Around<'_>) -> String {
    let Around { doing, time_to_stop } = around;
    let state = doing.map_or_else(|| status_name(status), |doing| name(doing.code));
    let mut text = format!("{}: {state} (Kubernetes {})\n", status.name, status.version);
    if let Some(doing) = doing {
        let _ = writeln!(text, "  {}", doing.detail);
    }
    if let Some(time) = time_to_stop {
        let _ = writeln!(text, "  stops in {time}");
    }
    for node in &status.nodes {
        let role = if node.worker { "worker" } else { "control plane" };
        let _ = writeln!(text, "  {} ({role}): {}", node.name, node.host.as_str());
    }
    text
}

/// A template filled with a node's fields.
pub(super) fn filled(template: &Template, node: &NodeReport, time_to_stop: Option<&str>) -> String {
    template.render(|field| match field {
        "Host" => node.host.as_str().to_owned(),
        "Kubelet" => node.kubelet.as_str().to_owned(),
        "APIServer" => node.apiserver.as_str().to_owned(),
        "Kubeconfig" => node.kubeconfig.as_str().to_owned(),
        "Worker" => node.worker.to_string(),
        "TimeToStop" => time_to_stop.unwrap_or_default().to_owned(),
        _ => node.name.clone(),
    })
}
