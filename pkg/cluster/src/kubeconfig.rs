//! The cluster's entry in the user's kubeconfig.

use skiff_config::{ClusterFile, ClusterName, ClusterSpec, NodeName, NodeRecord};
use skiff_driver::Driver;
use skiff_kubeapi::kubeconfig::{self, Credentials, Entry};

use crate::{
    ClientFiles, ClusterError, ConnectApi, Host, StartOptions, access, error::Outside, identity, living,
    nodes::control_planes,
};

/// Wraps an error of the kubeconfig.
fn failed(error: skiff_kubeapi::KubeError) -> ClusterError {
    ClusterError::Kubeconfig(Outside::new(error))
}

/// Writes the cluster's entry and says whether it is the current context now.
pub(crate) fn write<D, C, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
    options: &StartOptions,
) -> Result<bool, ClusterError> {
    let entry = entry(host, file, spec, file.status.nodes.first(), options.embed_certs)?;
    let merged = kubeconfig::merge(&host.kubeconfig, &entry, !options.keep_context).map_err(failed)?;
    // Scripts that share a machine get a file of their own, which nobody else edits.
    let own = host.store.kubeconfig_path(&spec.name);
    kubeconfig::merge(&[own], &entry, true).map_err(failed)?;
    Ok(merged.current)
}

fn entry<D, C, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
    leads_to: Option<&NodeRecord>,
    embed: bool,
) -> Result<Entry, ClusterError> {
    let name = &file.metadata.name;
    let access =
        leads_to.map(|node| access::access(&host.store, name, spec.listen_address, node)).transpose()?.flatten();
    let access = access.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
    let server = match file.status.entrance {
        Some(entrance) => access::server_url(spec.listen_address, entrance.port),
        None => access.server,
    };
    let files = ClientFiles::of(&host.store, name);
    let credentials = if embed {
        Credentials::Embedded { ca: access.ca, certificate: access.certificate, key: access.key }
    } else {
        Credentials::Files { ca: files.ca, certificate: files.certificate, key: files.key }
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Entry { name: name.to_string(), server, credentials, version })
}

/// Refuses, before anything is made, a kubeconfig that the cluster's entry cannot be written to.
pub(crate) fn check<D, C, K>(
    host: &Host<D, C, K>,
    spec: &ClusterSpec,
    options: &StartOptions,
) -> Result<(), ClusterError> {
    let ClientFiles { ca, certificate, key } = ClientFiles::of(&host.store, &spec.name);
    let credentials = match identity::read(&host.store, &spec.name, access::CA)? {
        Some(ca) if options.embed_certs => Credentials::Embedded { ca, certificate: String::new(), key: String::new() },
        _ => Credentials::Files { ca, certificate, key },
    };
    let entry = Entry { name: spec.name.to_string(), server: String::new(), credentials, version: String::new() };
    kubeconfig::check(&host.kubeconfig, &entry).map_err(failed)
}

/// Repairs the cluster's entry and makes it the current context. Certificates that are embedded stay
/// so. True if anything changed.
///
/// # Errors
/// When there is no such cluster, or the kubeconfig cannot be written.
pub async fn update_context<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<bool, ClusterError> {
    let _lock = host.lock(name).await?;
    let file = host.load(name)?;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    lead_to(host, &file, &spec, best(host, &file, &spec).await, true)
}

/// Leads the cluster's entry to a control plane that works, as the one it led to may have left. Which
/// context is the current one stays. True if anything changed.
pub(crate) async fn lead_to_living<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
) -> Result<bool, ClusterError> {
    lead_to(host, file, spec, best(host, file, spec).await, false)
}

/// Leads the cluster's entry away from a control plane that was lost to one that works, and tells to
/// which. An entry that leads elsewhere, or is not there, is as somebody wants it.
///
/// # Errors
/// When there is no such cluster, or the kubeconfig cannot be read or written.
pub async fn follow<D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<Option<NodeName>, ClusterError> {
    let file = host.load(name)?;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let mut led = false;
    for port in control_planes(&file).filter_map(|record| record.apiserver_port) {
        led |= leads_to(host, name, &access::server_url(spec.listen_address, port))?;
    }
    match living::control_plane(host, &file, &spec).await {
        Ok((record, _)) if led => {
            let changed = lead_to(host, &file, &spec, Some(record), false)?;
            Ok(changed.then(|| record.name.clone()))
        }
        _ => Ok(None),
    }
}

/// The control plane to lead to: one that works, else the first.
async fn best<'a, D: Driver, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &'a ClusterFile,
    spec: &ClusterSpec,
) -> Option<&'a NodeRecord> {
    match control_planes(file).nth(1).filter(|_| file.status.entrance.is_none()) {
        // There is no choice, and nobody to be asked for it.
        None => file.status.nodes.first(),
        Some(_) => match living::control_plane(host, file, spec).await {
            Ok((record, _)) => Some(record),
            Err(_) => file.status.nodes.first(),
        },
    }
}

fn lead_to<D, C, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
    node: Option<&NodeRecord>,
    current: bool,
) -> Result<bool, ClusterError> {
    let embed = kubeconfig::embeds_certificate(&host.kubeconfig, spec.name.as_str()).map_err(failed)?;
    let entry = entry(host, file, spec, node, embed)?;
    let merged = kubeconfig::merge(&host.kubeconfig, &entry, current).map_err(failed)?;
    kubeconfig::merge(&[host.store.kubeconfig_path(&spec.name)], &entry, true).map_err(failed)?;
    Ok(merged.changed)
}

/// Removes the cluster's entry. True if there was one.
pub(crate) fn remove<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<bool, ClusterError> {
    kubeconfig::remove(&host.kubeconfig, name.as_str()).map_err(failed)
}

/// Clears the current context if it is the cluster's.
pub(crate) fn unset_current<D, C, K>(host: &Host<D, C, K>, name: &ClusterName) -> Result<bool, ClusterError> {
    kubeconfig::unset_context(&host.kubeconfig, name.as_str()).map_err(failed)
}

/// True if the cluster's entry leads to `server`.
pub(crate) fn leads_to<D, C, K>(host: &Host<D, C, K>, name: &ClusterName, server: &str) -> Result<bool, ClusterError> {
    let endpoint = kubeconfig::endpoint_of(&host.kubeconfig, name.as_str()).map_err(failed)?;
    Ok(endpoint.as_deref() == Some(server))
}
