//! What a start has to do: pure, from what is stored, what runs and what is asked.

use skiff_config::{ClusterFile, ClusterName, ClusterSpec, KubeVersion, Phase, Problem, SpecFile, Status};
use skiff_driver::MachineState;

use crate::ClusterError;

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
    field: fn(&mut SpecFile) -> &mut Option<String>,
}

const FIXED: [Fixed; 6] = [
    Fixed { name: "subnet", field: |spec| &mut spec.subnet },
    Fixed { name: "static-ip", field: |spec| &mut spec.static_ip },
    Fixed { name: "service-cluster-ip-range", field: |spec| &mut spec.service_cluster_ip_range },
    Fixed { name: "pod-network-cidr", field: |spec| &mut spec.pod_network_cidr },
    Fixed { name: "dns-domain", field: |spec| &mut spec.dns_domain },
    Fixed { name: "disk-size", field: |spec| &mut spec.disk_size },
];

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
    given.clone().over(file.spec.clone()).resolve(name.clone()).map_err(settings)?;
    let mut given = given;
    let previous = Some(file.spec.clone());
    let refused = refuse_fixed(&mut given, &mut file.spec);
    file.spec = given.over(file.spec);
    let spec = file.to_spec().map_err(settings)?;
    check_driver(&file.status, &spec)?;
    check_version(&old.kubernetes_version, &spec.kubernetes_version)?;
    Ok(Wanted { file, spec, refused, previous })
}

/// Takes out of `given` what differs from a fixed setting.
fn refuse_fixed(given: &mut SpecFile, stored: &mut SpecFile) -> Vec<Refused> {
    let mut refused = Vec::new();
    for fixed in FIXED {
        let kept = (fixed.field)(stored).clone();
        let wanted = (fixed.field)(given);
        if let Some(text) = wanted.take_if(|text| kept.as_ref() != Some(text)) {
            let kept = kept.unwrap_or_else(|| "what skiff chose when it was made".to_owned());
            refused.push(Refused { setting: fixed.name, wanted: text, kept });
        }
    }
    refused
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
    if new == old { Ok(()) } else { Err(ClusterError::VersionChange { current: old.clone(), wanted: new.clone() }) }
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
