//! The certificate for a host.

use std::{collections::HashMap, sync::Arc};

use rustls::sign::CertifiedKey;

use super::hosts::{Depth, HostName};

/// Certificates by host.
#[derive(Debug, Default)]
pub(crate) struct Certs {
    exact: HashMap<String, Arc<CertifiedKey>>,
    below: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name no host that is known.
    any: Option<Arc<CertifiedKey>>,
}

impl Certs {
    /// Adds a certificate; the first for a host stays.
    pub(crate) fn add(&mut self, host: HostName, cert: &Arc<CertifiedKey>) {
        let entry = match host {
            HostName::Any => {
                self.any.get_or_insert_with(|| Arc::clone(cert));
                return;
            }
            HostName::Exact(host) => self.exact.entry(host),
            HostName::Below(domain, Depth::One | Depth::Many) => self.below.entry(domain),
        };
        entry.or_insert_with(|| Arc::clone(cert));
    }

    /// The certificate for a host, in lower case.
    pub(crate) fn find(&self, host: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = host.and_then(|host| {
            let wildcard = || self.below.get(host.split_once('.')?.1);
            self.exact.get(host).or_else(wildcard)
        });
        named.or(self.any.as_ref())
    }
}
