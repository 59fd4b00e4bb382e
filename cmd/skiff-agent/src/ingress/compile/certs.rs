//! From secrets to certificates that can be served. Kept while a secret stays the same: parsing a thousand keys
//! for each change of anything would take too long.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::ingress::objects::{Id, Secret};

/// The certificates made so far.
#[derive(Debug, Default)]
pub(crate) struct CertCache {
    known: HashMap<Id, Known>,
}

#[derive(Debug)]
struct Known {
    version: Option<String>,
    cert: Result<Arc<CertifiedKey>, String>,
    used: bool,
}

impl CertCache {
    /// The certificate in a secret, or what is wrong with it.
    pub(crate) fn get(&mut self, id: &Id, secret: Option<&Secret>) -> Result<Arc<CertifiedKey>, String> {
        let Some(secret) = secret else { return Err(format!("there is no secret {id} with a certificate")) };
        let version = secret.metadata.resource_version.clone();
        let known = self.known.get_mut(id).filter(|known| known.version == version && version.is_some());
        if let Some(known) = known {
            known.used = true;
            return known.cert.clone();
        }
        let cert = parse(secret).map_err(|fault| format!("secret {id}: {fault}"));
        self.known.insert(id.clone(), Known { version, cert: cert.clone(), used: true });
        cert
    }

    /// Drops what was not asked for since the last call.
    pub(crate) fn forget_unused(&mut self) {
        self.known.retain(|_, known| std::mem::take(&mut known.used));
    }
}

fn parse(secret: &Secret) -> Result<Arc<CertifiedKey>, String> {
    let field = |name: &str| secret.get(name).filter(|value| !value.is_empty()).ok_or(format!("{name} is missing"));
    let (chain, key) = (field("tls.crt")?, field("tls.key")?);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| "tls.crt is no PEM")?;
    if chain.is_empty() {
        return Err("tls.crt holds no certificate".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "tls.key holds no private key")?;
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| "tls.key is of a kind that cannot be used")?;
    let cert = CertifiedKey::new(chain, key);
    match cert.keys_match() {
        // Some keys cannot tell what belongs to them.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(Arc::new(cert)),
        Err(rustls::Error::InconsistentKeys(_)) => Err("tls.key does not belong to tls.crt".to_owned()),
        Err(_) => Err("tls.crt holds no valid certificate".to_owned()),
    }
}
