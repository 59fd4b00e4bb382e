//! Answers that need no backend: redirections, refusals, what browsers ask beforehand.

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts, uri};

use super::{
    answers,
    body::ReplyBody,
    outgoing::with_query,
    serve::{Call, without_port},
};
use crate::ingress::policy::{Cors, Policy, Redirect};

impl Call<'_> {
    /// The answer, if it needs no backend.
    pub(super) async fn early(&self, policy: &Policy, head: &Parts) -> Option<Response<ReplyBody>> {
        let settings = &self.worker.shared.settings;
        let path = || head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        if policy.https_only && !self.peer.came_secure(&head.headers) {
            let host = without_port(self.authority.to_str().unwrap_or_default());
            let port = match settings.https_port {
                443 => String::new(),
                port => format!(":{port}"),
            };
            return Some(answers::elsewhere(
                StatusCode::PERMANENT_REDIRECT,
                &format!("https://{host}{port}{}", path()),
            ));
        }
        if let Some(redirect) = &policy.redirect {
            return Some(self.redirect(redirect, head));
        }
        if let Some(root) = policy.app_root.as_ref().filter(|_| head.uri.path() == "/") {
            return Some(answers::elsewhere(StatusCode::FOUND, root.to_str().unwrap_or("/")));
        }
        if !policy.admits(self.peer.client(&head.headers, &settings.trusted)) {
            return Some(answers::plain(StatusCode::FORBIDDEN, "this address may not ask"));
        }
        if let Some(cors) = policy.cors.as_ref().filter(|_| head.method == Method::OPTIONS) {
            return Some(preflight(cors, head.headers.get(header::ORIGIN)));
        }
        if let Some(auth) = &policy.auth {
            let given = head.headers.get(header::AUTHORIZATION).cloned();
            let admitted = match given {
                None => false,
                Some(given) if auth.remembers(&given) => true,
                Some(given) => {
                    let auth = Arc::clone(auth);
                    tokio::task::spawn_blocking(move || auth.admits(&given)).await.unwrap_or(false)
                }
            };
            if !admitted {
                let mut response = answers::plain(StatusCode::UNAUTHORIZED, "");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, auth.challenge());
                return Some(response);
            }
        }
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if policy.body_limit.is_some_and(|limit| length.is_some_and(|length: u64| length > limit)) {
            return Some(answers::plain(StatusCode::PAYLOAD_TOO_LARGE, ""));
        }
        None
    }

    fn redirect(&self, redirect: &Redirect, head: &Parts) -> Response<ReplyBody> {
        let asked = head.uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let (status, location) = match redirect {
            Redirect::To(status, to) => (*status, to.replace("$request_uri", asked).replace("$host", &self.host)),
            Redirect::Replace { status, scheme, host, port, path } => {
                let secure = self.peer.came_secure(&head.headers);
                let own = if secure { "https" } else { "http" };
                let name = host.as_deref().unwrap_or(&self.host);
                let target = scheme.as_deref().unwrap_or(own);
                let port = match (port, target) {
                    (None, "https") if scheme.is_some() => self.worker.shared.settings.https_port,
                    (None, _) if scheme.is_some() => 80,
                    (None, _) => self.peer.port_text.to_str().ok().and_then(|port| port.parse().ok()).unwrap_or(80),
                    (Some(port), _) => *port,
                };
                let port = match (target, port) {
                    ("http", 80) | ("https", 443) => String::new(),
                    _ => format!(":{port}"),
                };
                let path = match path {
                    None => asked.to_owned(),
                    Some(change) => with_query(change.apply(head.uri.path()), head.uri.query()),
                };
                (*status, format!("{target}://{name}{port}{path}"))
            }
        };
        answers::elsewhere(status, &location)
    }
}

fn preflight(cors: &Cors, origin: Option<&HeaderValue>) -> Response<ReplyBody> {
    let mut response = answers::empty(StatusCode::NO_CONTENT);
    allow_origin(cors, origin, &mut response);
    if response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
    }
    response
}

/// Tells a browser whether pages of another origin may see the answer.
pub(super) fn allow_origin(cors: &Cors, origin: Option<&HeaderValue>, response: &mut Response<ReplyBody>) {
    let Some(allowed) = cors.allowed(origin) else { return };
    let headers = response.headers_mut();
    if allowed != "*" {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(expose) = &cors.expose {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
    }
}
