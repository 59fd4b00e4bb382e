//! All clusters there are.

use std::collections::BTreeMap;

use skiff_config::{ClusterFile, SpecFile};
use skiff_driver::Driver;
use skiff_report::Diagnose as _;
use skiff_report::Reason;

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

/// Every profile, and those whose files are damaged. With `live` their state is asked for as well.
///
/// # Errors
/// When the folder cannot be listed, or the driver does not answer.
pub async fn profiles<D, C, K>(
    host: &Host<D, C, K>,
    live: bool,
) -> Result<(Vec<ProfileReport>, Vec<DamagedProfile>), ClusterError>
where
    D: Driver,
    K: ConnectApi,
{
    let entries = host.store.list()?;
    let machines =
        if live && !entries.is_empty() { host.driver.list(None).await.map_err(driver_error)? } else { Vec::new() };
    let (mut good, mut damaged) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.cluster {
            Ok(file) => {
                let own: Vec<_> = machines.iter().filter(|node| node.cluster == file.metadata.name).cloned().collect();
                let status = if live { Some(status_of(host, &file, &own).await?) } else { None };
                good.push(report(file, status));
            }
            Err(error) => {
                let problem = skiff_report::chain(&error);
                damaged.push(DamagedProfile { name: entry.name, problem, reason: error.reason() });
            }
        }
    }
    Ok((good, damaged))
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
