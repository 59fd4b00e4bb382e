//! Reading certificates back: how long they last and whom they are for.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use x509_parser::{
    extensions::GeneralName,
    pem::parse_x509_pem,
    prelude::{FromDer as _, X509Certificate},
};

use super::Sans;
use crate::BootstrapError;

/// What skiff wants to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    not_before: SystemTime,
    not_after: SystemTime,
    sans: Sans,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM text. `what` names it in messages.
    ///
    /// # Errors
    /// [`BootstrapError::Unreadable`].
    pub fn parse(what: &str, pem: &str) -> Result<Self, BootstrapError> {
        let unreadable = |detail: String| BootstrapError::Unreadable { what: what.to_owned(), detail };
        let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| unreadable("not PEM".to_owned()))?;
        if block.label != "CERTIFICATE" {
            return Err(unreadable(format!("a {} and no certificate", block.label)));
        }
        let (_, x509) = X509Certificate::from_der(&block.contents)
            .map_err(|error| unreadable(format!("not a certificate ({error})")))?;
        let mut sans = Sans::default();
        if let Ok(Some(extension)) = x509.subject_alternative_name() {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::DNSName(name) => sans.names.push((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => sans.ips.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        Ok(Self {
            not_before: instant(x509.validity().not_before.timestamp()),
            not_after: instant(x509.validity().not_after.timestamp()),
            sans,
            public_key: x509.public_key().raw.to_vec(),
        })
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.not_after
    }

    /// True if it is not good now, or will not be `margin` from now.
    #[must_use]
    pub fn needs_renewal(&self, now: SystemTime, margin: Duration) -> bool {
        now < self.not_before || now + margin >= self.not_after
    }

    /// True if it is for all of these names and addresses.
    #[must_use]
    pub fn covers(&self, wanted: &Sans) -> bool {
        wanted.names.iter().all(|name| self.sans.names.contains(name))
            && wanted.ips.iter().all(|ip| self.sans.ips.contains(ip))
    }

    /// The public key with its algorithm (SubjectPublicKeyInfo, DER).
    pub(super) fn public_key(&self) -> Vec<u8> {
        self.public_key.clone()
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn instant(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
