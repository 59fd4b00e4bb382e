//! The API itself: connections, and answers to their requests.

use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::Client;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

use super::{
    documents::{self, Metadata},
    gate::{Gate, Verdict},
    metrics::ServerMetrics,
    route::{Form, Kind, Route, Selection},
    sampler::Sampler,
    trust::Trust,
};
use crate::api::chain;

/// More connections than this at a time wait for their turn.
const MAX_CONNECTIONS: usize = 64;
/// A client that takes longer for its greeting or for its headers is dropped.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// All that a request may need.
pub(super) struct Server {
    pub(super) api: Client,
    pub(super) gate: Gate,
    pub(super) sampler: Arc<Sampler>,
    pub(super) trust: RwLock<Arc<Trust>>,
    pub(super) metrics: Arc<ServerMetrics>,
}

/// An answer that is none of what was asked for.
struct Refusal {
    code: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    fn not_found(kind: Kind, name: &str) -> Self {
        let message = format!("no measurements of {} \"{name}\"", kind.plural().trim_end_matches('s'));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }
}

#[derive(Deserialize)]
struct MetadataList {
    /// Null where there are none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

/// Serves requests until the process ends.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, server).await {
                        tracing::debug!(%peer, %error, "connection failed");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<Server>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let trust = Arc::clone(&server.trust.read().unwrap_or_else(PoisonError::into_inner));
    stream.set_nodelay(true)?;
    let accept = TlsAcceptor::from(Arc::clone(&trust.tls)).accept(stream);
    let stream = tokio::time::timeout(HEADER_TIME, accept).await??;
    let certificates: Option<Vec<CertificateDer<'static>>> =
        stream.get_ref().1.peer_certificates().map(|all| all.iter().map(|one| one.clone().into_owned()).collect());
    let certificates = Arc::new(certificates);
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, trust, certificates) = (Arc::clone(&server), Arc::clone(&trust), Arc::clone(&certificates));
        async move { Ok::<_, Infallible>(server.answer(&request, &trust, (*certificates).as_deref()).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

impl Server {
    async fn answer(
        &self,
        request: &Request<Incoming>,
        trust: &Trust,
        certificates: Option<&[CertificateDer<'static>]>,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let (code, document) = match self.document(request, trust, certificates).await {
            Ok(document) => {
                self.metrics.answered.add();
                (StatusCode::OK, document)
            }
            Err(refusal) => {
                self.metrics.refused.add();
                (refusal.code, documents::failure(refusal.code, refusal.reason, &refusal.message))
            }
        };
        self.metrics.duration.observe(started.elapsed());
        let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
        *response.status_mut() = code;
        let kind = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn document(
        &self,
        request: &Request<Incoming>,
        trust: &Trust,
        certificates: Option<&[CertificateDer<'static>]>,
    ) -> Result<Value, Refusal> {
        let route = Route::of(request.method(), request.uri());
        let caller = trust.caller(certificates, request.headers());
        let path = request.uri().path();
        match self.gate.judge(caller, &route, path).await.map_err(unavailable)? {
            Verdict::Allowed => {}
            Verdict::Unknown => {
                return Err(Refusal::new(
                    StatusCode::UNAUTHORIZED,
                    "Unauthorized",
                    "credentials are missing or invalid",
                ));
            }
            Verdict::Forbidden(user) => {
                return Err(Refusal::new(StatusCode::FORBIDDEN, "Forbidden", format!("{user} may not read {path}")));
            }
        }
        match route {
            Route::Groups => Ok(documents::groups()),
            Route::Group => Ok(documents::group()),
            Route::Resources => Ok(documents::resources()),
            Route::Select(selection) => self.measurements(&selection, request.headers()).await,
            Route::NotAllowed => {
                let message = "measurements can only be read, one by one or as a list";
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message))
            }
            Route::Unknown => {
                Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource"))
            }
        }
    }

    async fn measurements(&self, selection: &Selection, headers: &HeaderMap) -> Result<Value, Refusal> {
        let Some(form) = Form::accepted(headers) else {
            let message = "only application/json is served, as objects or as a table";
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message));
        };
        let (snapshot, objects) = tokio::join!(self.sampler.snapshot(), self.objects(selection));
        let (snapshot, objects) = (snapshot.map_err(unavailable)?, objects?);
        let items: Vec<Value> =
            objects.iter().filter_map(|metadata| documents::object(selection.kind, metadata, &snapshot)).collect();
        match (&selection.name, form) {
            (None, form) => Ok(documents::list(selection.kind, &items, form)),
            (Some(name), Form::Objects) => {
                items.into_iter().next().ok_or_else(|| Refusal::not_found(selection.kind, name))
            }
            (Some(name), Form::Table(_)) if items.is_empty() => Err(Refusal::not_found(selection.kind, name)),
            (Some(_), Form::Table(version)) => Ok(documents::table(version, &items)),
        }
    }

    /// The objects that are asked about. The API server has them all and understands every selector, so
    /// nothing of this is kept here.
    async fn objects(&self, selection: &Selection) -> Result<Vec<Metadata>, Refusal> {
        let request = http::Request::get(upstream(selection))
            .header(header::ACCEPT, accept(selection))
            .body(Vec::new())
            .map_err(|error| unavailable(kube::Error::HttpError(error)))?;
        let failed = |error: kube::Error| match (error, &selection.name) {
            (kube::Error::Api(status), Some(name)) if status.code == 404 => Refusal::not_found(selection.kind, name),
            // A selector that cannot be understood, most likely: the words of who knows.
            (kube::Error::Api(status), _) if status.code == 400 => {
                Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", status.message)
            }
            (error, _) => unavailable(error),
        };
        if selection.name.is_some() {
            let item: Item = self.api.request(request).await.map_err(failed)?;
            return Ok(vec![item.metadata]);
        }
        let list: MetadataList = self.api.request(request).await.map_err(failed)?;
        Ok(list.items.into_iter().flatten().map(|item| item.metadata).collect())
    }
}

/// Only metadata: a list of pods is large.
fn accept(selection: &Selection) -> String {
    let kind = if selection.name.is_some() { "PartialObjectMetadata" } else { "PartialObjectMetadataList" };
    format!("application/json;as={kind};g=meta.k8s.io;v=v1")
}

/// Where the API server has the objects. Names were found to need no escaping.
fn upstream(selection: &Selection) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("resourceVersion", "0");
    for (name, value) in [("labelSelector", &selection.labels), ("fieldSelector", &selection.fields)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let namespace = selection.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    let name = selection.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    format!("/api/v1{namespace}/{}{name}?{}", selection.kind.plural(), query.finish())
}

fn unavailable(error: kube::Error) -> Refusal {
    tracing::warn!(error = %chain(&error), "cannot answer a request");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", chain(&error))
}
