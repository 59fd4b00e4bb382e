//! TLS: the certificate for each name, and HTTP/2.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    backend::Backend,
    support::{Proxy, ingress, objects, service},
};
use crate::ingress::compile::{CertCache, compile};

/// A secret with a certificate for a name, and the certificate.
fn secret(name: &str, host: &str) -> (String, CertificateDer<'static>) {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    let (chain, key) = (BASE64.encode(cert.pem()), BASE64.encode(signing_key.serialize_pem()));
    let yaml = format!("kind: Secret\nmetadata: {{name: {name}}}\ndata: {{tls.crt: {chain}, tls.key: {key}}}\n---\n");
    (yaml, cert.der().clone())
}

fn with_tls(yaml: &str, host: &str, secret: &str) -> String {
    yaml.replace("spec:\n", &format!("spec:\n  tls: [{{hosts: [{host:?}], secretName: {secret}}}]\n"))
}

/// Connects with any certificate, and tells which it was.
async fn connect(
    proxy: &Proxy,
    name: &str,
    alpn: &[&str],
) -> (tokio_rustls::client::TlsStream<TcpStream>, CertificateDer<'static>) {
    let mut config = (*crate::ingress::proxy::trusting_config()).clone();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(proxy.https).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let cert = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    (stream, cert)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_gets_its_certificate_and_others_the_default() {
    let backend = Backend::start("one").await;
    let (first, first_cert) = secret("first", "a.test");
    let (second, second_cert) = secret("second", "*.b.test");
    let yaml = [
        first,
        second,
        service("one", &[backend.address]),
        with_tls(&ingress("a", &[], "a.test", "/", "one"), "a.test", "first"),
        with_tls(&ingress("b", &[], "x.b.test", "/", "one"), "*.b.test", "second"),
    ]
    .concat();
    let proxy = Proxy::start(&yaml);
    assert_eq!(connect(&proxy, "a.test", &[]).await.1, first_cert);
    assert_eq!(connect(&proxy, "x.b.test", &[]).await.1, second_cert);
    let default = connect(&proxy, "other.test", &[]).await.1;
    assert!(default != first_cert && default != second_cert);
    assert_eq!(connect(&proxy, "127.0.0.1", &[]).await.1, default);
    // Hosts with a certificate are served over TLS only.
    assert_eq!(proxy.get("a.test", "/").await.header("location"), "https://a.test/");
    // Another certificate takes the place of the first at once.
    let (newer, newer_cert) = secret("first", "a.test");
    proxy.load(&[&yaml, newer.as_str()].concat());
    assert_eq!(connect(&proxy, "a.test", &[]).await.1, newer_cert);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_spoken_where_the_client_can() {
    let backend = Backend::start("one").await;
    let proxy = Proxy::start(&[service("one", &[backend.address]), ingress("a", &[], "a.test", "/", "one")].concat());
    let (stream, _) = connect(&proxy, "a.test", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.test/x").version(Version::HTTP_2).body(Full::new(Bytes::new())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let told = response.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8_lossy(&told);
    for line in ["GET /x HTTP/1.1", "host: a.test", "x-forwarded-proto: https", "x-forwarded-port: 443"] {
        assert!(told.lines().any(|found| found == line), "{line} in {told}");
    }
    let (stream, _) = connect(&proxy, "a.test", &["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (good, _) = secret("good", "a.test");
    let (other, _) = secret("other", "a.test");
    let field = |yaml: &str, name: &str| {
        yaml.split(&format!("{name}: ")).nth(1).unwrap().split([',', '}']).next().unwrap().to_owned()
    };
    let mixed = good.replace(&field(&good, "tls.key"), &field(&other, "tls.key"));
    let no_key = good.replace("tls.key", "key");
    let garbage = good.replace(&field(&good, "tls.crt"), &BASE64.encode("-----BEGIN CERTIFICATE-----\n!\n"));
    let empty = good.replace(&field(&good, "tls.crt"), &BASE64.encode("no certificate"));
    for (secret, expected) in [
        (String::new(), "there is no secret default/good with a certificate"),
        (mixed, "secret default/good: tls.key does not belong to tls.crt"),
        (no_key, "secret default/good: tls.key is missing"),
        (garbage, "secret default/good: tls.crt is no PEM"),
        (empty, "secret default/good: tls.crt holds no certificate"),
    ] {
        let yaml = [secret, with_tls(&ingress("a", &[], "a.test", "/", "one"), "a.test", "good")].concat();
        let compiled = compile(&objects(&yaml), &mut CertCache::default());
        let broken: Vec<_> = compiled.problems.iter().filter(|problem| problem.reason == "BrokenCertificate").collect();
        assert_eq!(broken.len(), 1, "{:?}", compiled.problems);
        assert_eq!(broken[0].message, format!("{expected}; the default certificate is served"));
    }
}
