//! What a cluster keeps for life: its authorities and the key of its service accounts.

use std::{fmt, time::SystemTime};

use rcgen::KeyPair;

use super::{Authority, Group, Pair, Validity, authority::Leaf};
use crate::{BootstrapError, ClusterConfig};

/// The key pair that service account tokens are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceAccountKey {
    private: String,
    public: String,
}

impl ServiceAccountKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn generate() -> Result<Self, BootstrapError> {
        let issue = |source| BootstrapError::Issue { what: "the key of service accounts".to_owned(), source };
        let key = KeyPair::generate().map_err(issue)?;
        Ok(Self { private: key.serialize_pem(), public: key.public_key_pem() })
    }

    /// Takes up a stored one.
    ///
    /// # Errors
    /// [`BootstrapError::Unreadable`] if it is damaged.
    pub fn from_private(pem: String) -> Result<Self, BootstrapError> {
        let key = KeyPair::from_pem(&pem).map_err(|_| BootstrapError::Unreadable {
            what: "sa.key".to_owned(),
            detail: "not a PKCS #8 key in PEM".to_owned(),
        })?;
        Ok(Self { private: pem, public: key.public_key_pem() })
    }

    /// `PUBLIC KEY`, PEM. The API server takes no other form.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A file of the cluster's PKI, under kubeadm's name for it.
#[derive(Clone, PartialEq, Eq)]
pub struct PkiFile {
    /// Path below the PKI folder, e.g. `etcd/ca.crt`.
    pub path: &'static str,
    /// Its text.
    pub text: String,
}

impl PkiFile {
    /// Permission bits: keys are for root only.
    #[must_use]
    pub fn mode(&self) -> u32 {
        if self.path.ends_with(".key") { 0o600 } else { 0o644 }
    }
}

impl fmt::Debug for PkiFile {
    /// The text may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PkiFile({})", self.path)
    }
}

/// The certificate authorities and keys of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPki {
    /// Signs what clients and servers of the API have.
    pub ca: Authority,
    /// Signs what the API server shows to extension servers.
    pub front_proxy: Authority,
    /// Signs what etcd and its clients have.
    pub etcd: Authority,
    /// Signs service account tokens.
    pub service_accounts: ServiceAccountKey,
}

impl ClusterPki {
    /// Makes a new set.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn generate(cluster: &ClusterConfig, now: SystemTime) -> Result<Self, BootstrapError> {
        let validity = Validity::of_authority(now, cluster.ca_validity);
        Ok(Self {
            ca: Authority::generate("kubernetes", validity)?,
            front_proxy: Authority::generate("front-proxy-ca", validity)?,
            etcd: Authority::generate("etcd-ca", validity)?,
            service_accounts: ServiceAccountKey::generate()?,
        })
    }

    /// The set as files, to be stored.
    #[must_use]
    pub fn to_files(&self) -> Vec<PkiFile> {
        let file = |path, text: &str| PkiFile { path, text: text.to_owned() };
        vec![
            file("ca.crt", self.ca.certificate()),
            file("ca.key", &self.ca.pair().key),
            file("front-proxy-ca.crt", self.front_proxy.certificate()),
            file("front-proxy-ca.key", &self.front_proxy.pair().key),
            file("etcd/ca.crt", self.etcd.certificate()),
            file("etcd/ca.key", &self.etcd.pair().key),
            file("sa.key", &self.service_accounts.private),
            file("sa.pub", &self.service_accounts.public),
        ]
    }

    /// Takes up a stored set; `read` gives the text of a file by its path below the PKI folder.
    ///
    /// # Errors
    /// [`BootstrapError::Unreadable`] naming the first file that is absent or damaged.
    pub fn from_files(read: impl Fn(&str) -> Option<String>) -> Result<Self, BootstrapError> {
        let text = |path: &str| {
            read(path).ok_or_else(|| BootstrapError::Unreadable {
                what: path.to_owned(),
                detail: "it is not there".to_owned(),
            })
        };
        let authority = |name: &str| {
            let certificate = format!("{name}.crt");
            let pair = Pair { certificate: text(&certificate)?, key: text(&format!("{name}.key"))? };
            Authority::from_pair(&certificate, pair)
        };
        Ok(Self {
            ca: authority("ca")?,
            front_proxy: authority("front-proxy-ca")?,
            etcd: authority("etcd/ca")?,
            service_accounts: ServiceAccountKey::from_private(text("sa.key")?)?,
        })
    }

    /// A certificate for the person who owns the cluster: may do everything, from the first moment on.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn issue_user(&self, cluster: &ClusterConfig, now: SystemTime) -> Result<Pair, BootstrapError> {
        self.issue_client(cluster, "skiff-user", Some(Group::MASTERS), now)
    }

    /// A certificate for a client of the API.
    pub(crate) fn issue_client(
        &self,
        cluster: &ClusterConfig,
        user: &str,
        group: Option<&str>,
        now: SystemTime,
    ) -> Result<Pair, BootstrapError> {
        self.ca.issue(&Leaf::client(user, group), Validity::new(now, cluster.leaf_validity))
    }
}
