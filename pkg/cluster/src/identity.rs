//! What makes a cluster itself: its authorities, keys and token. Made once, kept in the profile,
//! so that a node that was removed by hand comes back as the node it was.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use skiff_bootstrap::{
    BootstrapToken, ClusterConfig, Endpoint,
    pki::{ClusterPki, SshKey},
};
use skiff_config::{ClusterName, ClusterSpec, NodeName};
use skiff_store::Store;

use crate::{ClusterError, access::ClientFiles};

/// File names below the profile's folder.
const TOKEN: &str = "token";
/// The cluster's ssh key; its public half lies beside it.
pub(crate) const SSH_KEY: &str = "id_ed25519";

/// How long an API server may take to start before the kubelet ends it and tries anew. A start of
/// skiff's has a limit of its own, `--wait-timeout`; where machines are emulated on a busy host, one
/// that is only slow must not be ended for that, which would make it slower still.
const SLOWEST: Duration = Duration::from_mins(30);

/// A cluster's secrets.
pub(crate) struct Identity {
    /// Its authorities.
    pub(crate) pki: ClusterPki,
    /// What configuration is rendered from.
    pub(crate) config: ClusterConfig,
    /// The line for `authorized_keys`.
    pub(crate) ssh_public: String,
}

/// A node's secrets.
pub(crate) struct NodeIdentity {
    /// `/etc/machine-id` without its line end.
    pub(crate) machine_id: String,
    /// Private host key.
    pub(crate) host_key: String,
    /// Public host key, one OpenSSH line.
    pub(crate) host_key_public: String,
}

impl Identity {
    /// Reads the cluster's secrets; makes those that are missing.
    pub(crate) fn load_or_make(
        store: &Store,
        spec: &ClusterSpec,
        endpoint: Endpoint,
        now: SystemTime,
    ) -> Result<Self, ClusterError> {
        let name = &spec.name;
        let stored = read(store, name, TOKEN)?.and_then(|text| BootstrapToken::parse(text.trim()));
        let token = match stored {
            Some(token) => token,
            None => {
                let token = BootstrapToken::generate()?;
                store.write_file(name, TOKEN, token.reveal().as_bytes())?;
                token
            }
        };
        let config = ClusterConfig { patience: SLOWEST, ..ClusterConfig::new(spec.clone(), endpoint, token)? };
        let pki = Self::pki(store, &config, now)?;
        ClientFiles::ensure(store, &config, &pki, now)?;
        let ssh_public = ssh_key(store, name, SSH_KEY, &format!("skiff-{name}"))?.1;
        Ok(Self { pki, config, ssh_public })
    }

    fn pki(store: &Store, config: &ClusterConfig, now: SystemTime) -> Result<ClusterPki, ClusterError> {
        let name = &config.spec.name;
        // The last file that is written marks the set as whole.
        if read(store, name, "pki/complete")?.is_some() {
            // A file that may not be read is not one that is missing.
            let refused = Cell::new(None);
            let pki = ClusterPki::from_files(|path| {
                read(store, name, &format!("pki/{path}")).unwrap_or_else(|error| {
                    refused.set(Some(error));
                    None
                })
            });
            return match refused.into_inner() {
                Some(error) => Err(error),
                None => Ok(pki?),
            };
        }
        let pki = ClusterPki::generate(config, now)?;
        let files: Vec<_> = pki.to_files().into_iter().map(|file| (format!("pki/{}", file.path), file.text)).collect();
        let all = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).chain([("pki/complete", &b""[..])]);
        store.write_files(name, all)?;
        Ok(pki)
    }
}

impl NodeIdentity {
    /// Reads a node's secrets; makes those that are missing.
    pub(crate) fn load_or_make(store: &Store, cluster: &ClusterName, node: &NodeName) -> Result<Self, ClusterError> {
        let path = format!("nodes/{node}/machine-id");
        let machine_id = match read(store, cluster, &path)? {
            Some(text) if text.len() == 32 => text,
            _ => {
                let text = new_machine_id()?;
                store.write_file(cluster, &path, text.as_bytes())?;
                text
            }
        };
        let (host_key, host_key_public) = ssh_key(store, cluster, &host_key_path(node), node.as_str())?;
        Ok(Self { machine_id, host_key, host_key_public })
    }
}

/// A node's private ssh host key, below the profile's folder.
fn host_key_path(node: &NodeName) -> String {
    format!("nodes/{node}/ssh_host_ed25519_key")
}

/// A node's public ssh host key, if the node was ever made.
pub(crate) fn host_key(store: &Store, cluster: &ClusterName, node: &NodeName) -> Result<Option<String>, ClusterError> {
    let line = read(store, cluster, &format!("{}.pub", host_key_path(node)))?;
    Ok(line.map(|line| line.trim().to_owned()))
}

/// A key pair of the profile, made if it is missing: private half, public half.
fn ssh_key(store: &Store, cluster: &ClusterName, path: &str, comment: &str) -> Result<(String, String), ClusterError> {
    let public_path = format!("{path}.pub");
    if let (Some(private), Some(public)) = (read(store, cluster, path)?, read(store, cluster, &public_path)?) {
        return Ok((private, public.trim().to_owned()));
    }
    let key = SshKey::generate(comment)?;
    let halves = [(path, key.private().as_bytes()), (public_path.as_str(), key.public().as_bytes())];
    store.write_files(cluster, halves)?;
    Ok((key.private().to_owned(), key.public().trim().to_owned()))
}

/// A machine id as systemd makes it: a random UUID, version 4, without dashes (machine-id(5)).
fn new_machine_id() -> Result<String, ClusterError> {
    let mut bytes = skiff_bootstrap::random_bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn read(store: &Store, cluster: &ClusterName, path: &str) -> Result<Option<String>, ClusterError> {
    let bytes = store.read_file(cluster, path)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
