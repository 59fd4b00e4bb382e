//! What a start has to do: pure, from what is stored, what runs and what is asked.

use skiff_config::{
    ClusterFile, ClusterName, ClusterSpec, KubeVersion, Phase, Problem, SpecFile, Status, format_bytes,
};
use skiff_driver::MachineState;

use crate::{ClusterError, NoUpgrade};

/// What was asked of an existing cluster and cannot be had without making it anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The setting, as its flag is called.
    pub(crate) setting: &'static str,
    /// What was asked.
    pub(crate) wanted: String,
    /// What it stays.
    pub(crate) kept: String,
}

/// What the cluster shall be from now on.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The stored form, to be saved.
    pub(crate) file: ClusterFile,
    /// The form to work with.
    pub(crate) spec: ClusterSpec,
    /// Requests that were left out.
    pub(crate) refused: Vec<Refused>,
    /// What was asked of a cluster that worked, before the changes of now.
    pub(crate) previous: Option<SpecFile>,
}

impl Wanted {
    /// The stored form while changes have not proven to work: should they fail, a start without them
    /// goes back to what did.
    pub(crate) fn unproven(&self) -> ClusterFile {
        let mut file = self.file.clone();
        file.spec = self.previous.clone().unwrap_or(file.spec);
        file
    }
}

/// A setting that decides the cluster's identity or data, so it is fixed once the cluster was made.
struct Fixed {
    name: &'static str,
    /// Its text.
    field: fn(&mut SpecFile) -> &mut Option<String>,
    /// What it comes to: texts differ that mean the same.
    value: fn(&ClusterSpec) -> String,
}

const FIXED: [Fixed; 10] = [
    Fixed { name: "nodes", field: |file| &mut file.nodes, value: |spec| spec.nodes.to_string() },
    Fixed { name: "ha", field: |file| &mut file.ha, value: |spec| spec.ha.to_string() },
    Fixed { name: "cni", field: |file| &mut file.cni, value: |spec| spec.cni.to_string() },
    Fixed {
        name: "ip-family",
        field: |file| &mut file.ip_family,
        value: |spec| if spec.ipv6.is_some() { "dual" } else { "ipv4" }.to_owned(),
    },
    Fixed { name: "subnet", field: |file| &mut file.subnet, value: |spec| shown(spec.subnet.as_ref()) },
    Fixed { name: "static-ip", field: |file| &mut file.static_ip, value: |spec| shown(spec.static_ip.as_ref()) },
    Fixed {
        name: "service-cluster-ip-range",
        field: |file| &mut file.service_cluster_ip_range,
        value: ClusterSpec::service_cidrs,
    },
    Fixed { name: "pod-network-cidr", field: |file| &mut file.pod_network_cidr, value: ClusterSpec::pod_cidrs },
    Fixed { name: "dns-domain", field: |file| &mut file.dns_domain, value: |spec| spec.dns_domain.clone() },
    Fixed { name: "disk-size", field: |file| &mut file.disk_size, value: |spec| format_bytes(spec.disk_size) },
];

fn shown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

/// Lays what is asked over what is stored.
///
/// A cluster that was never usable is made anew from what is asked now, under its old name.
pub(crate) fn resolve(
    name: &ClusterName,
    stored: Option<ClusterFile>,
    given: SpecFile,
    defaults: SpecFile,
) -> Result<Wanted, ClusterError> {
    let settings = |problems: Vec<Problem>| ClusterError::Settings { problems };
    let Some(stored) = stored.filter(|file| file.status.phase == Phase::Created) else {
        let file = ClusterFile::new(name.clone(), given.over(defaults));
        let spec = file.to_spec().map_err(settings)?;
        return Ok(Wanted { file, spec, refused: Vec::new(), previous: None });
    };
    let old = stored.to_spec().map_err(settings)?;
    let mut file = stored;
    // What is asked must make sense by itself before parts of it are refused.
    let asked = given.clone().over(file.spec.clone()).resolve(name.clone()).map_err(settings)?;
    let mut given = given;
    let previous = Some(file.spec.clone());
    let refused = refuse_fixed(&mut given, &asked, &made(&old, &file.status));
    file.spec = given.over(file.spec);
    let spec = file.to_spec().map_err(settings)?;
    check_driver(&file.status, &spec)?;
    check_version(&old.kubernetes_version, &spec.kubernetes_version)?;
    Ok(Wanted { file, spec, refused, previous })
}

/// Takes the fixed settings out of `given`, and tells those that would change what was `made`.
fn refuse_fixed(given: &mut SpecFile, asked: &ClusterSpec, made: &ClusterSpec) -> Vec<Refused> {
    let mut refused = Vec::new();
    for Fixed { name, field, value } in FIXED {
        let kept = value(made);
        if let Some(wanted) = field(given).take()
            && value(asked) != kept
        {
            refused.push(Refused { setting: name, wanted, kept });
        }
    }
    refused
}

/// What a cluster was made with, skiff's own choices included.
fn made(asked: &ClusterSpec, status: &Status) -> ClusterSpec {
    let address = status.nodes.first().map(|node| node.address);
    let nodes = u32::try_from(status.nodes.len()).unwrap_or(u32::MAX);
    let nodes = if nodes == 0 { asked.nodes } else { nodes };
    ClusterSpec {
        nodes,
        subnet: status.subnet.or(asked.subnet),
        static_ip: address.or(asked.static_ip),
        ..asked.clone()
    }
}

fn check_driver(status: &Status, spec: &ClusterSpec) -> Result<(), ClusterError> {
    match &status.driver {
        Some(stored) if spec.driver != "auto" && spec.driver != *stored => Err(ClusterError::DriverMismatch {
            cluster: spec.name.clone(),
            stored: stored.clone(),
            wanted: spec.driver.clone(),
        }),
        _ => Ok(()),
    }
}

fn check_version(old: &KubeVersion, new: &KubeVersion) -> Result<(), ClusterError> {
    if new >= old {
        return Ok(());
    }
    Err(NoUpgrade::Downgrade { from: old.clone(), to: new.clone() }.into())
}

/// What one node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeAction {
    /// Nothing: it runs as wanted.
    Keep,
    /// Start the machine, which is as wanted.
    Start,
    /// Make the machine on whatever data there is, start it and run kubeadm.
    Create,
    /// Remove the machine but not its data, then as `Create`.
    Replace,
}

/// Decides for one node. `applied` is true if the machine was made, and kubeadm ran in it, with the
/// settings wanted now.
pub(crate) fn node_action(state: Option<MachineState>, applied: bool) -> NodeAction {
    match (state, applied) {
        (None | Some(MachineState::Missing), _) => NodeAction::Create,
        (Some(MachineState::Running), true) => NodeAction::Keep,
        (Some(MachineState::Stopped | MachineState::Paused), true) => NodeAction::Start,
        (Some(MachineState::Created | MachineState::Broken), _) | (Some(_), false) => NodeAction::Replace,
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
