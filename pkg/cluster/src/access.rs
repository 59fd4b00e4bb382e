//! The user's way into a cluster's API: certificate files of the profile, and addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use skiff_bootstrap::{
    ClusterConfig,
    pki::{Certificate, ClusterPki},
};
use skiff_config::{ClusterName, NodeRecord};
use skiff_kubeapi::Access;
use skiff_store::Store;

use crate::{ClusterError, clock, identity::read, lifetime::renewal_margin};

/// The authority's certificate.
pub(crate) const CA: &str = "ca.crt";
/// The user's certificate.
const CERTIFICATE: &str = "client.crt";
/// Its key.
const KEY: &str = "client.key";

/// Where the files lie that a kubeconfig may point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The user's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl ClientFiles {
    /// The files of a cluster; they need not exist.
    pub(crate) fn of(store: &Store, cluster: &ClusterName) -> Self {
        let folder = store.profile_dir(cluster);
        Self { ca: folder.join(CA), certificate: folder.join(CERTIFICATE), key: folder.join(KEY) }
    }

    /// Makes the files where they are missing, unreadable, or about to expire.
    pub(crate) fn ensure(
        store: &Store,
        config: &ClusterConfig,
        pki: &ClusterPki,
        now: SystemTime,
    ) -> Result<(), ClusterError> {
        let name = &config.spec.name;
        let margin = renewal_margin(config.leaf_validity);
        let valid = |pem: String| {
            Certificate::parse(CERTIFICATE, &pem).is_ok_and(|certificate| !certificate.needs_renewal(now, margin))
        };
        let key = read(store, name, KEY)?;
        if read(store, name, CERTIFICATE)?.is_some_and(valid) && key.is_some() && read(store, name, CA)?.is_some() {
            return Ok(());
        }
        let pair = pki.issue_user(config, now)?;
        // Key first: a certificate that is in date promises that its key is there.
        let files = [
            (CA, pki.ca.certificate().as_bytes()),
            (KEY, pair.key.as_bytes()),
            (CERTIFICATE, pair.certificate.as_bytes()),
        ];
        Ok(store.write_files(name, files)?)
    }
}

/// Tells of a certificate of the user's that no API server takes now, with the way out.
///
/// # Errors
/// When the profile cannot be read.
pub fn outdated(store: &Store, cluster: &ClusterName, now: SystemTime) -> Result<Option<String>, ClusterError> {
    let user = read(store, cluster, CERTIFICATE)?.and_then(|pem| Certificate::parse(CERTIFICATE, &pem).ok());
    Ok(user.filter(|user| user.needs_renewal(now, Duration::ZERO)).map(|user| {
        let what = match user.expires() {
            end if end <= now => format!("ended at {}", clock::rfc3339(end)),
            _ => "is yet to begin by this host's clock".to_owned(),
        };
        format!("kubectl's certificate {what}: `skiff start -p {cluster}` renews it")
    }))
}

/// How to reach the API server of a stored control plane.
pub(crate) fn access(
    store: &Store,
    cluster: &ClusterName,
    listen: IpAddr,
    node: &NodeRecord,
) -> Result<Option<Access>, ClusterError> {
    let file = |path| read(store, cluster, path);
    let (Some(port), Some(ca), Some(certificate), Some(key)) =
        (node.apiserver_port, file(CA)?, file(CERTIFICATE)?, file(KEY)?)
    else {
        return Ok(None);
    };
    Ok(Some(Access { server: server_url(listen, port), ca, certificate, key, tls_server_name: None }))
}

/// The URL under which this host reaches a port published on `listen`.
pub(crate) fn server_url(listen: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(reachable(listen), port))
}

/// The address to connect to for something that listens on `listen`.
pub(crate) fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_all_addresses_are_reached_on_loopback() {
        assert_eq!(server_url(Ipv4Addr::UNSPECIFIED.into(), 8443), "https://127.0.0.1:8443");
        assert_eq!(server_url(Ipv6Addr::UNSPECIFIED.into(), 8443), "https://[::1]:8443");
        assert_eq!(server_url("192.168.1.7".parse().unwrap(), 8443), "https://192.168.1.7:8443");
    }
}
