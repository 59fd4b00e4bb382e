//! A certificate authority and what it issues.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use time::OffsetDateTime;

use super::{Certificate, Sans};
use crate::BootstrapError;

/// A certificate and its private key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// `CERTIFICATE`.
    pub certificate: String,
    /// `PRIVATE KEY` (PKCS #8).
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// From when to when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// Clocks of host and node may differ, most of all just after a host woke up: so long before they
    /// are made certificates are good already.
    pub const SKEW: Duration = Duration::from_hours(1);

    /// From an hour ago until `lasting` from now.
    #[must_use]
    pub fn new(now: SystemTime, lasting: Duration) -> Self {
        Self { not_before: now - Self::SKEW, not_after: now + lasting }
    }

    /// That of an authority, which cannot be made anew should the clock be set back: it is good for as
    /// long before now as after.
    #[must_use]
    pub fn of_authority(now: SystemTime, lasting: Duration) -> Self {
        Self { not_before: now - lasting, not_after: now + lasting }
    }
}

/// A leaf to be issued.
pub(super) struct Leaf<'a> {
    pub(super) common_name: &'a str,
    pub(super) group: Option<&'a str>,
    pub(super) server: Option<&'a Sans>,
    pub(super) client: bool,
}

impl<'a> Leaf<'a> {
    pub(super) fn client(common_name: &'a str, group: Option<&'a str>) -> Self {
        Self { common_name, group, server: None, client: true }
    }
}

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pair: Pair,
}

impl Authority {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn generate(common_name: &str, validity: Validity) -> Result<Self, BootstrapError> {
        let issue = |source| BootstrapError::Issue { what: format!("the certificate authority {common_name}"), source };
        let key = KeyPair::generate().map_err(issue)?;
        let mut params = params(common_name, None, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(issue)?.pem();
        Ok(Self { pair: Pair { certificate, key: key.serialize_pem() } })
    }

    /// Takes up a stored one. `what` names it in messages.
    ///
    /// # Errors
    /// [`BootstrapError::Unreadable`] if certificate or key are damaged or do not belong together.
    pub fn from_pair(what: &str, pair: Pair) -> Result<Self, BootstrapError> {
        let unreadable = |detail: &str| BootstrapError::Unreadable { what: what.to_owned(), detail: detail.to_owned() };
        let certificate = Certificate::parse(what, &pair.certificate)?;
        let key = KeyPair::from_pem(&pair.key).map_err(|_| unreadable("its key is not a PKCS #8 key in PEM"))?;
        if certificate.public_key() != key.subject_public_key_info() {
            return Err(unreadable("certificate and key do not belong together"));
        }
        Ok(Self { pair })
    }

    /// Certificate and key.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.pair.certificate
    }

    /// A new key and a certificate for it.
    pub(super) fn issue(&self, leaf: &Leaf<'_>, validity: Validity) -> Result<Pair, BootstrapError> {
        let what = || format!("the certificate of {}", leaf.common_name);
        let issue = |source| BootstrapError::Issue { what: what(), source };
        let own_key = KeyPair::from_pem(&self.pair.key).map_err(issue)?;
        let issuer = Issuer::from_ca_cert_pem(&self.pair.certificate, own_key).map_err(issue)?;
        let mut params = params(leaf.common_name, leaf.group, validity);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        if let Some(sans) = leaf.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            for name in &sans.names {
                let name = name.as_str().try_into().map_err(issue)?;
                params.subject_alt_names.push(SanType::DnsName(name));
            }
            params.subject_alt_names.extend(sans.ips.iter().copied().map(SanType::IpAddress));
        }
        if leaf.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let key = KeyPair::generate().map_err(issue)?;
        let certificate = params.signed_by(&key, &issuer).map_err(issue)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn params(common_name: &str, group: Option<&str>, validity: Validity) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = to_offset(validity.not_before);
    params.not_after = to_offset(validity.not_after);
    params
}

/// Certificates hold whole seconds of years up to 9999; what does not fit becomes 1970.
fn to_offset(time: SystemTime) -> OffsetDateTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
