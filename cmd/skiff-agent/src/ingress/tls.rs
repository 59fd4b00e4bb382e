//! TLS towards clients: the certificate for the name that a client asks for.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::proxy::Shared;

/// The name in the certificate that is served where there is no better one.
const DEFAULT_NAME: &str = "skiff ingress default certificate";

/// Finds certificates in the table in force.
struct Resolver {
    shared: Arc<Shared>,
    default: Arc<CertifiedKey>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let table = self.shared.table.load();
        Some(Arc::clone(table.certs.find(name.as_deref()).unwrap_or(&self.default)))
    }
}

/// What goes wrong while the default certificate is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    /// The certificate could not be made.
    #[error("cannot make the default certificate")]
    Make(#[source] rcgen::Error),
    /// The key could not be used.
    #[error("cannot use the default certificate")]
    Use(#[source] rustls::Error),
}

/// The configuration of all TLS connections.
pub(crate) fn config(shared: &Arc<Shared>) -> Result<Arc<ServerConfig>, TlsFault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let resolver = Resolver { shared: Arc::clone(shared), default: self_signed()? };
    let mut config = builder.map_err(TlsFault::Use)?.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Clients that come back skip the costly part, whichever worker they meet.
    config.ticketer = ring::Ticketer::new().map_err(TlsFault::Use)?;
    Ok(Arc::new(config))
}

/// A certificate that nobody trusts, made anew in each process.
fn self_signed() -> Result<Arc<CertifiedKey>, TlsFault> {
    let mut params = rcgen::CertificateParams::new(vec!["ingress.local".to_owned()]).map_err(TlsFault::Make)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, DEFAULT_NAME);
    let key = rcgen::KeyPair::generate().map_err(TlsFault::Make)?;
    let cert = params.self_signed(&key).map_err(TlsFault::Make)?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let private = ring::sign::any_supported_type(&private).map_err(TlsFault::Use)?;
    Ok(Arc::new(CertifiedKey::new(vec![cert.der().clone()], private)))
}
