//! TLS towards backends. As with other ingress controllers a backend's certificate is not verified: it is the pod's own,
//! usually self-signed, and the pod was found through the API server.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::ingress::table::Protocol;

/// Makes a connection a TLS connection.
pub(super) async fn secure(stream: TcpStream, host: &str, protocol: Protocol) -> io::Result<TlsStream<TcpStream>> {
    static CONFIGS: OnceLock<Option<[Arc<ClientConfig>; 2]>> = OnceLock::new();
    let configs = CONFIGS.get_or_init(|| Some([Arc::new(config(b"http/1.1")?), Arc::new(config(b"h2")?)]));
    let [http1, http2] = configs.as_ref().ok_or_else(|| io::Error::other("TLS has no protocol versions"))?;
    let config = Arc::clone(if protocol.is_h2() { http2 } else { http1 });
    let name = ServerName::try_from(host.to_owned()).or_else(|_| stream.peer_addr().map(|peer| peer.ip().into()))?;
    TlsConnector::from(config).connect(name, stream).await
}

fn config(alpn: &[u8]) -> Option<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Some(config)
}

/// A configuration that takes any certificate, for clients that are played.
#[cfg(test)]
pub(crate) fn trusting_config() -> Arc<ClientConfig> {
    Arc::new(config(b"http/1.1").unwrap())
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
