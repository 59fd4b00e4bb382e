//! Whom this server believes: what `kube-system/extension-apiserver-authentication` says about that, and
//! who a caller is after it. Pure but for the cryptography.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderMap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why the cluster's trust cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    /// A certificate of an authority cannot be read.
    #[error("cannot read {0}")]
    Pem(&'static str, #[source] rustls::pki_types::pem::Error),
    /// A certificate of an authority is of no use.
    #[error("cannot use {0}")]
    Authority(&'static str, #[source] rustls::Error),
    /// A check for an authority cannot be made.
    #[error("cannot check certificates of clients")]
    Verifier(#[source] VerifierBuilderError),
    /// Our own certificate does not work.
    #[error("cannot use the own certificate")]
    Own(#[source] rustls::Error),
    /// A list of names cannot be read.
    #[error("cannot read {0}")]
    Names(&'static str, #[source] serde_json::Error),
}

/// A user of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The API server, on behalf of somebody whom it has let through.
    ApiServer(User),
    /// Somebody with a certificate.
    Certificate(User),
    /// Somebody with a token that the API server has to look at.
    Token(String),
    /// Somebody who does not say.
    Nobody,
}

/// An authority's certificates, in the documents that name it.
const PROXY_CA: &str = "requestheader-client-ca-file";
const CLIENT_CA: &str = "client-ca-file";

/// What is believed.
#[derive(Debug)]
pub(super) struct Trust {
    /// The settings for connections.
    pub(super) tls: Arc<ServerConfig>,
    proxy: Option<Arc<dyn ClientCertVerifier>>,
    client: Option<Arc<dyn ClientCertVerifier>>,
    allowed: Vec<String>,
    user_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

impl Trust {
    /// Reads the data of the config map; `certificate` and `key` are this server's own.
    pub(super) fn new(
        data: &BTreeMap<String, String>,
        certificate: &CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (proxy_roots, client_roots) = (authorities(data, PROXY_CA)?, authorities(data, CLIENT_CA)?);
        let both: Vec<_> = proxy_roots.iter().chain(&client_roots).cloned().collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Own)?;
        let builder = match verifier(&both, &provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut tls = builder.with_single_cert(vec![certificate.clone()], key.clone_key()).map_err(TrustError::Own)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Resumed connections would have to remember who called.
        tls.send_tls13_tickets = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            tls: Arc::new(tls),
            proxy: verifier(&proxy_roots, &provider)?,
            client: verifier(&client_roots, &provider)?,
            allowed: names(data, "requestheader-allowed-names")?,
            user_headers: names(data, "requestheader-username-headers")?,
            group_headers: names(data, "requestheader-group-headers")?,
            extra_prefixes: names(data, "requestheader-extra-headers-prefix")?,
        })
    }

    /// Whether requests by way of the API server can be told from others at all.
    pub(super) fn knows_the_api_server(&self) -> bool {
        self.proxy.is_some() && !self.user_headers.is_empty()
    }

    /// Who sent a request with these headers over a connection with these certificates.
    pub(super) fn caller(&self, certificates: Option<&[CertificateDer<'_>]>, headers: &HeaderMap) -> Caller {
        if let Some([leaf, others @ ..]) = certificates {
            let signed_by = |verifier: &Option<Arc<dyn ClientCertVerifier>>| {
                verifier.as_ref().is_some_and(|one| one.verify_client_cert(leaf, others, UnixTime::now()).is_ok())
            };
            let subject = subject(leaf);
            if signed_by(&self.proxy)
                && subject.as_ref().is_some_and(|user| self.allowed.is_empty() || self.allowed.contains(&user.name))
                && let Some(user) = self.named_by(headers)
            {
                return Caller::ApiServer(user);
            }
            if signed_by(&self.client)
                && let Some(user) = subject
            {
                return Caller::Certificate(user);
            }
        }
        let authorization = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match authorization.and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
                Caller::Token(token.trim().to_owned())
            }
            _ => Caller::Nobody,
        }
    }

    /// The user that the API server names.
    fn named_by(&self, headers: &HeaderMap) -> Option<User> {
        let values = |name: &str| -> Vec<String> {
            let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            all.filter(|value| !value.is_empty()).map(str::to_owned).collect()
        };
        let name = self.user_headers.iter().find_map(|header| values(header).into_iter().next())?;
        let groups = self.group_headers.iter().flat_map(|header| values(header)).collect();
        let mut extra = BTreeMap::new();
        for header in headers.keys().map(http::HeaderName::as_str) {
            // Names of headers come in lower case.
            let key = self.extra_prefixes.iter().find_map(|prefix| header.strip_prefix(&*prefix.to_ascii_lowercase()));
            if let Some(key) = key {
                extra.insert(key.to_owned(), values(header));
            }
        }
        Some(User { name, groups, extra })
    }
}

fn authorities(
    data: &BTreeMap<String, String>,
    field: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = data.get(field).map(String::as_str).unwrap_or_default();
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TrustError::Pem(field, error))
}

fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TrustError> {
    if authorities.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| TrustError::Authority("an authority for clients", error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.allow_unauthenticated().build().map(Some).map_err(TrustError::Verifier)
}

/// A list of names, as the config map has it: JSON in a string.
fn names(data: &BTreeMap<String, String>, field: &'static str) -> Result<Vec<String>, TrustError> {
    data.get(field)
        .map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|error| TrustError::Names(field, error)))
}

/// The user that a certificate speaks of: common name and organisations.
fn subject(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Some(User { name, groups, extra: BTreeMap::new() })
}

#[cfg(test)]
mod tests;
