//! A cluster on paper, a proxy in front of it, and a client.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::ingress::{
    access_log::AccessLog,
    compile::{CertCache, compile},
    objects::{Id, Objects},
    proxy::{self, Listeners, Settings, Shared, Shutdown},
    tls,
};

/// Objects from YAML documents.
pub(crate) fn objects(yaml: &str) -> Objects {
    let mut objects = Objects::default();
    for document in yaml.split("\n---\n").filter(|text| !text.trim().is_empty()) {
        let value: Value = serde_saphyr::from_str(document).unwrap();
        let kind = value["kind"].as_str().unwrap().to_owned();
        let metadata = &value["metadata"];
        let namespace = if kind.ends_with("Class") { "" } else { metadata["namespace"].as_str().unwrap_or("default") };
        let id = Id::new(namespace, metadata["name"].as_str().unwrap());
        let mut value = value.clone();
        value["metadata"]["namespace"] = namespace.into();
        match kind.as_str() {
            "Ingress" => drop(objects.ingresses.insert(id, serde_json::from_value(value).unwrap())),
            "IngressClass" => drop(objects.classes.insert(id, serde_json::from_value(value).unwrap())),
            "Service" => drop(objects.services.insert(id, serde_json::from_value(value).unwrap())),
            "EndpointSlice" => drop(objects.slices.insert(id, serde_json::from_value(value).unwrap())),
            "Secret" => drop(objects.secrets.insert(id, serde_json::from_value(value).unwrap())),
            "GatewayClass" => drop(objects.gateway.classes.insert(id, serde_json::from_value(value).unwrap())),
            "Gateway" => drop(objects.gateway.gateways.insert(id, serde_json::from_value(value).unwrap())),
            "HTTPRoute" => drop(objects.gateway.routes.insert(id, serde_json::from_value(value).unwrap())),
            other => panic!("{other}"),
        }
    }
    objects
}

/// A service with a port 80, and a slice for each of its endpoints.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    let mut yaml = format!(
        "kind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: 10.0.0.1, ports: [{{port: 80}}]}}\n---\n"
    );
    for (index, endpoint) in endpoints.iter().enumerate() {
        write!(
            yaml,
            "kind: EndpointSlice\nmetadata: {{name: {name}-{index}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             endpoints: [{{addresses: [\"{}\"], conditions: {{ready: true}}}}]\nports: [{{name: '', port: {}}}]\n---\n",
            endpoint.ip(),
            endpoint.port()
        )
        .unwrap();
    }
    yaml
}

/// An ingress with one rule.
pub(crate) fn ingress(name: &str, annotations: &[(&str, &str)], host: &str, path: &str, service: &str) -> String {
    let mut yaml = format!("kind: Ingress\nmetadata:\n  name: {name}\n  annotations:\n    note: plain\n");
    for (key, value) in annotations {
        writeln!(yaml, "    nginx.ingress.kubernetes.io/{key}: {value:?}").unwrap();
    }
    writeln!(
        yaml,
        "spec:\n  ingressClassName: nginx\n  rules:\n  - host: {host:?}\n    http:\n      paths:\n      - path: {path:?}\n        \
         pathType: ImplementationSpecific\n        backend: {{service: {{name: {service}, port: {{number: 80}}}}}}\n---"
    )
    .unwrap();
    yaml
}

/// A proxy that runs until it goes out of scope.
pub(super) struct Proxy {
    pub(super) shared: Arc<Shared>,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) shutdown: Shutdown,
    workers: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that serves these objects.
    pub(super) fn start(yaml: &str) -> Self {
        Self::with_log(yaml, AccessLog::off())
    }

    /// The same, with a log.
    pub(super) fn with_log(yaml: &str, log: Arc<AccessLog>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings { https_port: 443, trusted: Vec::new() };
        let shared = Arc::new(Shared::new(Arc::default(), log, settings));
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let listeners = Listeners::bind(any, any, tls::config(&shared).unwrap(), (80, 443)).unwrap();
        let (http, https) = listeners.addresses().unwrap();
        let shutdown = Shutdown::new();
        let workers = proxy::start(&shared, &listeners, 2, &shutdown).unwrap();
        let proxy = Self { shared, http, https, shutdown, workers };
        proxy.load(yaml);
        proxy
    }

    /// Serves other objects from now on.
    pub(super) fn load(&self, yaml: &str) {
        self.shared.replace(compile(&objects(yaml), &mut CertCache::default()).table);
    }

    /// Sends a request without a body.
    pub(super) async fn get(&self, host: &str, path: &str) -> Reply {
        self.send(Request::get(path).header(header::HOST, host), "").await
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn send(&self, request: http::request::Builder, body: &str) -> Reply {
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let stream = TcpStream::connect(self.http).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Reply::of(sender.send_request(request).await.unwrap()).await
    }

    /// A connection for HTTP/2 without TLS.
    pub(super) async fn h2<B>(&self) -> hyper::client::conn::http2::SendRequest<B>
    where
        B: hyper::body::Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(self.http).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Ends the workers, which takes as long as requests are under way.
    pub(super) async fn stop(mut self) {
        self.shutdown.begin();
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(|| workers.into_iter().for_each(|worker| worker.join().unwrap()));
        joined.await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// An answer as a whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Reply {
    async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The next part of a body as text.
pub(crate) async fn chunk(body: &mut Incoming) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap().unwrap().unwrap();
    String::from_utf8_lossy(&frame.into_data().unwrap()).into_owned()
}
