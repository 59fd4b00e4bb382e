//! A cluster on the loopback.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, RwLock},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::{
    gate::Gate, kubelets::Kubelets, metrics::ServerMetrics, sampler::Sampler, serve, serve::Server, trust::Trust,
};

/// The name that the server has for its clients.
const NAME: &str = "metrics.test";

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", &key.der_bytes()[..8]));
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }
}

/// What can be different in a world.
pub(super) struct Options {
    pub(super) kubelet_is_genuine: bool,
}

/// The server under test and all around it.
pub(super) struct World {
    address: SocketAddr,
    proxy: Authority,
    own: CertificateDer<'static>,
    sampler: Arc<Sampler>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { kubelet_is_genuine: true };
        change(&mut options);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (cluster, proxy, stranger) = (Authority::new(), Authority::new(), Authority::new());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kubelet_authority = if options.kubelet_is_genuine { &cluster } else { &stranger };
        let kubelet = cluster_part(kubelet_authority, Arc::clone(&requests), 0).await;
        let api = cluster_part(&cluster, Arc::clone(&requests), kubelet.port()).await;

        let mut config = Config::new(format!("https://{api}").parse().unwrap());
        config.root_cert = Some(vec![cluster.certificate.to_vec()]);
        config.default_retry = false;
        let client = Client::try_from(config.clone()).unwrap();
        let metrics = Arc::new(ServerMetrics::default());
        let sampler = Arc::new(Sampler::new(Kubelets::new(client.clone(), config), Arc::clone(&metrics)));
        let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let data: BTreeMap<String, String> = [
            ("requestheader-client-ca-file", proxy.pem.as_str()),
            ("client-ca-file", cluster.pem.as_str()),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let trust = RwLock::new(Arc::new(Trust::new(&data, own.cert.der(), &key).unwrap()));
        let (gate, listener) = (Gate::new(client.clone()), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let server = Server { api: client, gate, sampler: Arc::clone(&sampler), trust, metrics };
        tokio::spawn(serve::serve(listener, Arc::new(server)));
        Self { address, proxy, own: own.cert.der().clone(), sampler, requests }
    }

    /// What API server and kubelet were asked.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn has_measured(&self) -> bool {
        self.sampler.has_measured()
    }

    /// A request by way of the API server.
    pub(super) async fn proxied(&self, path: &str) -> (StatusCode, Value) {
        let identity = self.proxy.sign("front-proxy-client", ExtendedKeyUsagePurpose::ClientAuth);
        self.get(path, Some(identity), "X-Remote-User: ann").await.unwrap()
    }

    /// The same with a certificate of somebody else's.
    pub(super) async fn as_stranger(&self, path: &str) -> io::Result<(StatusCode, Value)> {
        let identity = Authority::new().sign("front-proxy-client", ExtendedKeyUsagePurpose::ClientAuth);
        self.get(path, Some(identity), "X-Remote-User: ann").await
    }

    /// A request by somebody else.
    pub(super) async fn direct(&self, path: &str, token: Option<&str>) -> (StatusCode, Value) {
        let header = token.map_or("X-Remote-User: ann".to_owned(), |token| format!("Authorization: Bearer {token}"));
        self.get(path, None, &header).await.unwrap()
    }

    async fn get(&self, path: &str, identity: Option<Identity>, header: &str) -> io::Result<(StatusCode, Value)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // The end of a connection without a farewell is an end, too.
        match stream.read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => return Err(error),
            _ => {}
        }
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok((code, serde_json::from_str(body).unwrap()))
    }
}

/// An API server or a kubelet. `kubelet` is the port of the one node's kubelet.
async fn cluster_part(authority: &Authority, requests: Arc<Mutex<Vec<String>>>, kubelet: u16) -> SocketAddr {
    let (certificate, key) = authority.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| answer(request, Arc::clone(&requests), kubelet));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    requests: Arc<Mutex<Vec<String>>>,
    kubelet: u16,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri().clone();
    requests.lock().unwrap().push(uri.to_string());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let status = |code: u16, message: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message});
    let pod = json!({"metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}}});
    let (code, document) = match uri.path() {
        "/api/v1/nodes" => (200, json!({"items": [{"metadata": {"name": "a"}, "status": node_status(kubelet)}]})),
        "/stats/summary" => (200, summary()),
        "/api/v1/pods" if uri.query().unwrap_or_default().contains("labelSelector=%3D%3D") => {
            (400, status(400, "unable to parse requirement"))
        }
        // What API servers say of metadata where nothing is found.
        "/api/v1/pods" if uri.query().unwrap_or_default().contains("fieldSelector") => (200, json!({"items": null})),
        "/api/v1/pods" | "/api/v1/namespaces/default/pods" => (200, json!({"items": [pod]})),
        "/api/v1/namespaces/default/pods/web" => (200, pod),
        "/apis/authentication.k8s.io/v1/tokenreviews" => {
            let token = sent["spec"]["token"].as_str().unwrap();
            let known = ["admin", "guest"].contains(&token);
            (201, with_status(sent.clone(), json!({"authenticated": known, "user": {"username": token}})))
        }
        "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
            let allowed = sent["spec"]["user"] == "admin";
            (201, with_status(sent.clone(), json!({"allowed": allowed})))
        }
        _ => (404, status(404, "not found")),
    };
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    Ok(response)
}

fn with_status(mut review: Value, status: Value) -> Value {
    review["status"] = status;
    review
}

fn node_status(kubelet: u16) -> Value {
    json!({
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}},
    })
}

fn summary() -> Value {
    let stats = |name: &str, rate: u64, bytes: u64| {
        json!({
            "name": name,
            "cpu": {"time": "2026-01-01T00:00:00Z", "usageNanoCores": rate, "usageCoreNanoSeconds": 1},
            "memory": {"time": "2026-01-01T00:00:00Z", "workingSetBytes": bytes},
        })
    };
    json!({
        "node": stats("a", 250_000_000, 2 << 20),
        "pods": [{"podRef": {"name": "web", "namespace": "default"}, "containers": [stats("c", 7_000_000, 1 << 20)]}],
    })
}
