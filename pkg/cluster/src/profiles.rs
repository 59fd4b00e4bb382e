//! All clusters there are.

use std::collections::BTreeMap;

use skiff_config::{ClusterFile, SpecFile};
use skiff_driver::Driver;
use skiff_report::{Diagnose, Reason};
use skiff_store::Store;

use crate::{ClusterError, ConnectApi, Host, ProfileReport, host::driver_error, status::status_of};

/// A profile whose file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedProfile {
    /// Name of its folder.
    pub name: String,
    /// What is wrong, with the file's path.
    pub problem: String,
    /// Id and fix.
    pub reason: Reason,
}

/// Every profile as its file tells it, and those whose files are damaged.
///
/// # Errors
/// When the folder cannot be listed.
pub fn stored_profiles(store: &Store) -> Result<(Vec<ProfileReport>, Vec<DamagedProfile>), ClusterError> {
    let (mut good, mut damaged) = (Vec::new(), Vec::new());
    for entry in store.list()? {
        match entry.cluster {
            Ok(file) => good.push(report(file, None)),
            Err(error) => damaged.push(damage(entry.name, &error)),
        }
    }
    Ok((good, damaged))
}

/// Every profile, those of the host's driver with their cluster's state, and those whose files are
/// damaged.
///
/// # Errors
/// When the folder cannot be listed, or the driver does not answer.
pub async fn profiles<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
) -> Result<(Vec<ProfileReport>, Vec<DamagedProfile>), ClusterError> {
    let entries = host.store.list()?;
    if entries.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let machines = host.driver.list(None).await.map_err(driver_error)?;
    let (mut good, mut damaged) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.cluster {
            Ok(file) if !runs_on(&file, host.driver.kind().as_str()) => good.push(report(file, None)),
            Ok(file) => {
                let own: Vec<_> = machines.iter().filter(|node| node.cluster == file.metadata.name).cloned().collect();
                match status_of(host, &file, &own).await {
                    Ok(status) => good.push(report(file, Some(status))),
                    Err(error) => damaged.push(damage(entry.name, &error)),
                }
            }
            Err(error) => damaged.push(damage(entry.name, &error)),
        }
    }
    Ok((good, damaged))
}

/// Whether a cluster's machines are a driver's, as far as is known.
fn runs_on(file: &ClusterFile, driver: &str) -> bool {
    file.status.driver.as_deref().is_none_or(|stored| stored == driver)
}

fn damage(name: String, error: &impl Diagnose) -> DamagedProfile {
    DamagedProfile { name, problem: skiff_report::chain(error), reason: error.reason() }
}

fn report(file: ClusterFile, status: Option<crate::ClusterStatus>) -> ProfileReport {
    let version = file.to_spec().map(|spec| spec.kubernetes_version.to_string()).unwrap_or_default();
    let config: BTreeMap<String, String> =
        file.spec.differences(&SpecFile::default()).into_iter().map(|(key, (value, _))| (key, value)).collect();
    ProfileReport {
        driver: file.status.driver.clone().or_else(|| file.spec.driver.clone()).unwrap_or_default(),
        version,
        status,
        address: file.status.nodes.first().map(|node| node.address),
        nodes: file.status.nodes.len(),
        config,
        name: file.metadata.name,
        spec: file.spec,
    }
}
