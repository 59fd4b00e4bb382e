//! The connection to one cluster's API.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Request;
use kube::config::AuthInfo;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{KubeError, Trouble};

/// How long a TCP connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes ring the TLS implementation of this process, unless another one was chosen already.
/// [`Client::new`] calls it as well; programs that speak TLS elsewhere call it first thing.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// How to reach a cluster's API and who to be there.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `https://address:port`.
    pub server: String,
    /// The certificate authority, PEM.
    pub ca: String,
    /// The client certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// The name the server's certificate must have, where it differs from the host in `server`.
    pub tls_server_name: Option<String>,
}

impl fmt::Debug for Access {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("server", &self.server).finish_non_exhaustive()
    }
}

/// One cluster's API. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) kube: kube::Client,
    server: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Client {
    /// A client. Sends nothing yet, but must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the URL or one of the PEM texts makes no sense.
    pub fn new(access: &Access) -> Result<Self, KubeError> {
        install_crypto_provider();
        let server = access.server.parse().map_err(|_| KubeError::Server { server: access.server.clone() })?;
        let roots: Vec<_> = CertificateDer::pem_slice_iter(access.ca.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| KubeError::Credentials { what: "certificate authority" })?;
        if roots.is_empty() {
            return Err(KubeError::Credentials { what: "certificate authority" });
        }
        let mut config = kube::Config::new(server);
        config.root_cert = Some(roots.iter().map(|root| root.to_vec()).collect());
        config.auth_info = identity(access)?;
        config.tls_server_name.clone_from(&access.tls_server_name);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Retries are ours: they have a deadline and know what a cluster's birth looks like.
        config.default_retry = false;
        let kube = kube::Client::try_from(config).map_err(|_| KubeError::Credentials { what: "client certificate" })?;
        Ok(Self { kube, server: access.server.clone() })
    }

    /// The URL this client talks to.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request and returns the body of a successful answer.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<String, Trouble> {
        Ok(self.kube.request_text(request).await?)
    }

    /// Asks for text.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, Trouble> {
        let request = Request::get(path).body(Vec::new());
        self.send(request.map_err(|error| Trouble::Garbled { detail: error.to_string() })?).await
    }

    /// Asks for an object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let text = self.get_text(path).await?;
        serde_json::from_str(&text).map_err(|error| Trouble::Garbled { detail: error.to_string() })
    }

    /// A failed single request, as an error of this crate.
    pub(crate) fn unavailable(&self, source: Trouble) -> KubeError {
        KubeError::Unavailable { server: self.server.clone(), source }
    }
}

/// Built through serde, as the type of the key's field belongs to a crate of its own.
fn identity(access: &Access) -> Result<AuthInfo, KubeError> {
    let fields = json!({
        "client-certificate-data": BASE64_STANDARD.encode(&access.certificate),
        "client-key-data": BASE64_STANDARD.encode(&access.key),
    });
    serde_json::from_value(fields).map_err(|_| KubeError::Credentials { what: "client certificate" })
}
